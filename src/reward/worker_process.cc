#include "reward/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "reward/raw_batch.h"

namespace noregret {
namespace {

constexpr double kTickSeconds = 0.05;  // between looks at the cancel flag
constexpr double kEndSeconds = 0.5;    // for a process whose channel is closed to be seen as ended

void set_nonblocking(const Descriptor& fd) { fcntl(fd.get(), F_SETFL, O_NONBLOCK); }

// The launcher, which outlives what it started by a moment, tells a signal as a shell would.
std::string end_text(ChildEnd end) {
  if (end.exit_code > 128) {
    end.signal = end.exit_code - 128;
    end.exit_code = -1;
  }
  return end.text();
}

}  // namespace

ScorerInfo WorkerProcess::start(double seconds, const CancelFlag* cancel) {
  stop();
  DescriptorPair channel = make_socket_pair();
  DescriptorPair output = make_pipe();
  ChildOptions child;
  child.program = setup_.program;
  child.args = setup_.args;
  child.environment = setup_.environment;
  child.descriptors = {-1, output.second.get(), output.second.get(), channel.second.get()};
  child.wants_namespace = setup_.wants_namespace;
  try {
    process_ = std::make_unique<ChildProcess>(child);
  } catch (const IoError& e) {
    throw WorkerStartError(e.what());
  }
  channel.second.reset();  // the child's end of it is all that may keep it open
  output.second.reset();
  channel_ = std::move(channel.first);
  output_ = std::move(output.first);
  set_nonblocking(channel_);
  set_nonblocking(output_);
  lines_.emplace(setup_.label, *setup_.log);
  inbox_.clear();
  const Reply reply = exchange(hello_message(setup_.options_json), seconds, cancel);
  if (reply.kind != FailureKind::kNone) throw WorkerStartError(reply.error);
  try {
    if (reply.value.contains("error")) throw ConfigError(plugin_text(json_string(reply.value, "error", "its answer")));
    return read_info(reply.value);
  } catch (const DataError& e) {
    stop();
    throw WorkerStartError(e.what());
  } catch (const ConfigError&) {
    stop();
    throw;
  }
}

void WorkerProcess::stop() {
  if (process_) process_->kill();
  if (output_.get() >= 0) take_output();
  if (lines_) lines_->end();
  process_.reset();
  channel_.reset();
  output_.reset();
}

ComponentScore WorkerProcess::ask(const ScoreItem& item, const ScorerInfo& info, const CancelFlag* cancel) {
  const Stopwatch working;
  const Reply reply = exchange(items_message({&item, 1}), setup_.timeout_s, cancel);
  ComponentScore score = reply.kind == FailureKind::kNone
                             ? read_results(reply.value, {&item, 1}, info.min_reward, info.max_reward).front()
                             : failed_score(reply.kind, reply.error);
  score.seconds = working.seconds();
  return score;
}

WorkerProcess::Reply WorkerProcess::exchange(Json message, double seconds, const CancelFlag* cancel) {
  const std::string nonce = make_nonce();
  message["nonce"] = nonce;
  std::string outbox = dump_json(message) + "\n";
  const Stopwatch waiting;
  while (true) {
    if (!send_some(outbox)) return ended();
    const size_t line_end = inbox_.find('\n');
    if (line_end != std::string::npos) {
      const Reply reply = read_line(std::string_view(inbox_).substr(0, line_end), nonce);
      inbox_.erase(0, line_end + 1);
      if (reply.kind != FailureKind::kNone) stop();
      return reply;
    }
    const double left = seconds - waiting.seconds();
    const bool is_cancelled = cancel != nullptr && *cancel;
    if (left <= 0 || is_cancelled || inbox_.size() > kMaxReplyBytes) {
      stop();
      if (is_cancelled) return Reply{FailureKind::kTimeout, "not waited for: the run stops", {}};
      if (left > 0) return Reply{FailureKind::kProtocol, cat("its answer is longer than ", kMaxReplyBytes), {}};
      return Reply{FailureKind::kTimeout, with_last_words(cat("no answer within ", seconds, " s")), {}};
    }
    const short events = outbox.empty() ? POLLIN : POLLIN | POLLOUT;
    std::array<pollfd, 2> waits{{{channel_.get(), events, 0}, {output_.get(), POLLIN, 0}}};
    poll(waits.data(), waits.size(), static_cast<int>(std::ceil(std::min(left, kTickSeconds) * 1000)));
    if (waits[1].revents != 0) take_output();
    if ((waits[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !receive_some()) return ended();
  }
}

bool WorkerProcess::send_some(std::string& outbox) const {
  while (!outbox.empty()) {
    const ssize_t count = send(channel_.get(), outbox.data(), outbox.size(), MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    outbox.erase(0, static_cast<size_t>(count));
  }
  return true;
}

bool WorkerProcess::receive_some() {
  std::array<char, 65536> buffer;
  const ssize_t count = recv(channel_.get(), buffer.data(), buffer.size(), 0);
  if (count > 0) inbox_.append(buffer.data(), static_cast<size_t>(count));
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

void WorkerProcess::take_output() {
  std::array<char, 65536> buffer;
  for (int i = 0; i < 64; ++i) {  // 4 MiB at most, then a look at the clock
    const ssize_t count = read(output_.get(), buffer.data(), buffer.size());
    if (count > 0) {
      lines_->feed({buffer.data(), static_cast<size_t>(count)});
    } else {
      if (count == 0) output_.reset();
      return;
    }
  }
}

WorkerProcess::Reply WorkerProcess::read_line(std::string_view line, const std::string& nonce) const {
  try {
    Json value = parse_reply(line);
    const bool is_answer = value.is_object() && value.contains("nonce") && value["nonce"] == nonce;
    if (is_answer) return Reply{FailureKind::kNone, "", std::move(value)};
    return Reply{FailureKind::kProtocol, cat("a line without the request's nonce: ", quoted(line)), {}};
  } catch (const DataError& e) {
    return Reply{FailureKind::kProtocol, cat("a line that is no JSON: ", quoted(line), ": ", e.what()), {}};
  }
}

WorkerProcess::Reply WorkerProcess::ended() {
  const std::optional<ChildEnd> end = process_->wait_for(kEndSeconds);
  stop();
  if (!end) return Reply{FailureKind::kProtocol, with_last_words("it closed its channel"), {}};
  return Reply{FailureKind::kCrashed, with_last_words(cat("its process ended with ", end_text(*end))), {}};
}

std::string WorkerProcess::with_last_words(const std::string& why) const {
  const std::string& words = lines_->last_line();
  return words.empty() ? why : cat(why, "; its last line: ", quoted(words));
}

}  // namespace noregret
