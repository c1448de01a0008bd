#include "grade/worker.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret::math {
namespace {

constexpr int kMaxAsked = 10000;  // a process is replaced after so many, whatever it may have leaked
constexpr std::chrono::seconds kStart{30};

}  // namespace

void Worker::start() {
  DescriptorPair sockets = make_message_socket_pair();
  ChildOptions child;
  child.program = program_.string();
  child.descriptors = {sockets.second.get(), -1, -1};
  try {
    process_ = std::make_unique<ChildProcess>(child);
  } catch (const IoError& e) {
    throw IoError(cat(e.what(), "; it belongs beside the program or the plugin that grades"));
  }
  socket_ = std::move(sockets.first);
  sockets.second.reset();
  num_asked_ = 0;
  Status status = Status::kCrashed;
  if (receive(Clock::now() + kStart, status)) return;
  stop();
  throw IoError(cat(program_.string(), ": does not answer; want the noregret-grade-worker of this build"));
}

// The next reply, or nothing: late, or the worker is gone.
std::optional<Reply> Worker::receive(Clock::time_point deadline, Status& status) const {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready{socket_.get(), POLLIN, 0};
    const int num_ready = poll(&ready, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (num_ready < 0 && errno == EINTR) continue;
    status = num_ready == 0 ? Status::kTimeout : Status::kCrashed;
    if (num_ready <= 0) return {};
    char buffer[kMaxMessage];
    const ssize_t size = recv(socket_.get(), buffer, sizeof buffer, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return {};
    return decode_reply({buffer, static_cast<size_t>(size)});
  }
}

void Worker::stop() {
  socket_.reset();
  process_.reset();
}

Worker::Answer Worker::ask(Question question) {
  if (num_asked_ >= kMaxAsked) stop();
  if (!process_) start();
  ++num_asked_;
  question.sequence = ++sequence_;
  const std::string message = encode(question);
  const auto deadline = Clock::now() + std::chrono::milliseconds(question.options.deadline_ms);
  Answer answer;
  if (send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message.size())) {
    const std::optional<Reply> reply = receive(deadline, answer.status);
    if (reply && reply->sequence == question.sequence) return {Status::kAnswered, reply->outcome};
  }
  stop();
  return answer;
}

}  // namespace noregret::math
