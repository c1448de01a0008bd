#include "grade/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "noregret/base/error.h"

namespace noregret::math {
namespace {

constexpr int kMaxAsked = 10000;  // a process is replaced after so many, whatever it may have leaked
constexpr std::chrono::seconds kStart{30};

[[noreturn]] void fail(const std::filesystem::path& program, int error) {
  throw IoError(cat(program.string(), ": cannot be started: ", std::generic_category().message(error),
                    "; it belongs beside the program or the plugin that grades"));
}

// Actions and attributes of posix_spawn, released whatever happens.
struct SpawnPlan {
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

}  // namespace

void Worker::start() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail(program_, errno);
  SpawnPlan plan;
  posix_spawn_file_actions_adddup2(&plan.actions, ends[1], 0);
  posix_spawn_file_actions_addopen(&plan.actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&plan.actions, 1, 2);
  posix_spawn_file_actions_addclosefrom_np(&plan.actions, 3);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&plan.attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&plan.attributes, &signals);
  // A group of its own: a Ctrl-C is for the program, which ends its workers itself.
  posix_spawnattr_setpgroup(&plan.attributes, 0);
  posix_spawnattr_setflags(&plan.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::string name = program_.string();
  char* arguments[] = {name.data(), nullptr};
  char* environment[] = {nullptr};
  const int error = posix_spawn(&pid_, name.c_str(), &plan.actions, &plan.attributes, arguments, environment);
  close(ends[1]);
  socket_ = ends[0];
  num_asked_ = 0;
  Status status = Status::kCrashed;
  if (error == 0 && receive(Clock::now() + kStart, status)) return;
  if (error == 0) {
    stop();
    throw IoError(cat(program_.string(), ": does not answer; want the noregret-grade-worker of this build"));
  }
  pid_ = -1;
  stop();
  fail(program_, error);
}

// The next reply, or nothing: late, or the worker is gone.
std::optional<Reply> Worker::receive(Clock::time_point deadline, Status& status) const {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready{socket_, POLLIN, 0};
    const int num_ready = poll(&ready, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (num_ready < 0 && errno == EINTR) continue;
    status = num_ready == 0 ? Status::kTimeout : Status::kCrashed;
    if (num_ready <= 0) return {};
    char buffer[kMaxMessage];
    const ssize_t size = recv(socket_, buffer, sizeof buffer, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return {};
    return decode_reply({buffer, static_cast<size_t>(size)});
  }
}

void Worker::stop() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

Worker::Answer Worker::ask(Question question) {
  if (num_asked_ >= kMaxAsked) stop();
  if (pid_ < 0) start();
  ++num_asked_;
  question.sequence = ++sequence_;
  const std::string message = encode(question);
  const auto deadline = Clock::now() + std::chrono::milliseconds(question.options.deadline_ms);
  Answer answer;
  if (send(socket_, message.data(), message.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message.size())) {
    const std::optional<Reply> reply = receive(deadline, answer.status);
    if (reply && reply->sequence == question.sequence) return {Status::kAnswered, reply->outcome};
  }
  stop();
  return answer;
}

}  // namespace noregret::math
