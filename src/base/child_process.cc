#include "noregret/base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/posix_file.h"
#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

// TSan takes each clone() for a fork, and its own state, in memory that parent and child share here, for a copy.
#ifdef NOREGRET_SANITIZED
extern "C" int __clone(int (*)(void*), void*, int, void*, ...);
#endif

namespace noregret {
namespace {

constexpr int kFirstSpareFd = 64;  // above what a child's table begins with
constexpr size_t kStackBytes = size_t{1} << 16;

// As the kernel takes it.
struct SignalAction {
  unsigned long handler, flags, restorer, mask;
};
constexpr SignalAction kDefaultAction{};

// What the child needs between clone and exec, made before: it shares our memory and may not allocate.
struct Launch {
  const char* program;
  char* const* argv;
  char* const* environment;
  const int* sources;
  int num_descriptors;
  int error;
};

int run_child(void* raw) {
  Launch& launch = *static_cast<Launch*>(raw);
  // The kernel's own call: TSan's signal() keeps handlers in memory, which is the parent's too.
  for (int number = 1; number < NSIG; ++number)
    syscall(SYS_rt_sigaction, number, &kDefaultAction, nullptr, sizeof(kDefaultAction.mask));
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setpgid(0, 0);
  bool is_good = true;
  for (int i = 0; i < launch.num_descriptors; ++i) is_good = dup2(launch.sources[i], i) >= 0 && is_good;
  is_good = close_range(static_cast<unsigned>(launch.num_descriptors), ~0u, 0) == 0 && is_good;
  if (is_good) execve(launch.program, launch.argv, launch.environment);
  launch.error = errno;
  _exit(127);
}

// Copies of the descriptors with numbers that the child's own do not overwrite.
std::vector<Descriptor> spare_copies(const std::vector<int>& descriptors) {
  std::vector<Descriptor> copies;
  for (const int fd : descriptors) {
    const Descriptor null_device(fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1);
    copies.emplace_back(fcntl(fd < 0 ? null_device.get() : fd, F_DUPFD_CLOEXEC, kFirstSpareFd));
    if (copies.back().get() < 0) {
      throw IoError(cat("cannot start a process: ", errno_text(errno), "; too many open files?"));
    }
  }
  return copies;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Like vfork: this thread sleeps until the child's exec, no page table is copied, however large this process is.
pid_t clone_child(Launch& launch, int namespaces) {
  std::vector<char> stack(kStackBytes);
  const auto end = reinterpret_cast<uintptr_t>(stack.data() + stack.size()) & ~uintptr_t{63};
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // no handler of ours may run in the child
#ifdef NOREGRET_SANITIZED
  constexpr auto* clone = __clone;
#endif
  const pid_t pid =
      clone(run_child, reinterpret_cast<void*>(end), CLONE_VM | CLONE_VFORK | SIGCHLD | namespaces, &launch);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

std::vector<int> namespace_choices(bool wants_namespace) {
  if (!wants_namespace) return {0};
  if (geteuid() == 0) return {CLONE_NEWPID, CLONE_NEWUSER | CLONE_NEWPID, 0};
  return {CLONE_NEWUSER | CLONE_NEWPID, 0};
}

ChildEnd end_of(int status) {
  ChildEnd end;
  if (WIFSIGNALED(status)) {
    end.signal = WTERMSIG(status);
  } else {
    end.exit_code = WEXITSTATUS(status);
  }
  return end;
}

}  // namespace

std::string ChildEnd::text() const {
  if (signal != 0) return cat("signal ", signal, " (", strsignal(signal), ")");
  return cat("exit code ", exit_code);
}

ChildProcess::ChildProcess(const ChildOptions& options) {
  const std::vector<Descriptor> copies = spare_copies(options.descriptors);
  std::vector<int> sources;
  for (const Descriptor& copy : copies) sources.push_back(copy.get());
  std::vector<std::string> args = options.args;
  args.insert(args.begin(), options.program);
  std::vector<std::string> environment = options.environment;
  const std::vector<char*> argv = pointers(args);
  const std::vector<char*> envp = pointers(environment);
  Launch launch{options.program.c_str(), argv.data(), envp.data(), sources.data(), static_cast<int>(sources.size()), 0};
  for (const int namespaces : namespace_choices(options.wants_namespace)) {
    pid_ = clone_child(launch, namespaces);
    has_namespace_ = namespaces != 0;
    if (pid_ >= 0) break;
  }
  if (pid_ < 0) throw IoError(cat(options.program, ": cannot start it: ", errno_text(errno)));
  if (launch.error != 0) {
    reap();
    throw IoError(cat(options.program, ": cannot start it: ", errno_text(launch.error)));
  }
  end_fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
}

ChildProcess::~ChildProcess() {
  kill();
  if (end_fd_ >= 0) close(end_fd_);
}

bool ChildProcess::has_ended(bool waits) const {
  siginfo_t info{};
  const int options = WEXITED | WNOWAIT | (waits ? 0 : WNOHANG);
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, options) != 0 && errno == EINTR) {
  }
  return info.si_pid == pid_;
}

// Until it is reaped nobody else can have its number, which its group bears.
void ChildProcess::reap() {
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  end_ = end_of(status);
}

std::optional<ChildEnd> ChildProcess::wait_for(double seconds) {
  const Stopwatch waiting;
  while (!end_) {
    if (has_ended(false)) {
      reap();
      break;
    }
    const double left = seconds - waiting.seconds();
    if (left <= 0) break;
    pollfd ended{end_fd_, POLLIN, 0};
    poll(&ended, 1, end_fd_ < 0 ? 1 : static_cast<int>(left * 1000) + 1);
  }
  return end_;
}

ChildEnd ChildProcess::kill() {
  if (!end_) {
    ::kill(pid_, SIGTERM);
    wait_for(0.2);
  }
  if (!end_) {
    ::kill(pid_, SIGKILL);
    has_ended(true);
    reap();
  }
  return *end_;
}

}  // namespace noregret
