#include "noregret/reward/worker.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "noregret/base/text.h"
#include "reward/worker_loop.h"

namespace noregret {
namespace {

constexpr rlim_t kMaxFileBytes = rlim_t{1} << 30;
constexpr rlim_t kMaxOpenFiles = 512;
constexpr rlim_t kMaxProcesses = 512;  // and threads; the kernel refuses a pid_max below 301
constexpr int kBadUse = 64;

void limit(int resource, rlim_t value) {
  rlimit both{};
  getrlimit(static_cast<__rlimit_resource>(resource), &both);
  both.rlim_max = std::min(both.rlim_max, value);
  both.rlim_cur = both.rlim_max;
  setrlimit(static_cast<__rlimit_resource>(resource), &both);
}

void write_file(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, text.data(), text.size()) < 0) return void(close(fd));  // not ours to change here: as it was
  close(fd);
}

// In a user namespace of our own nobody has a name before this. Elsewhere the files refuse, and nothing changes.
void keep_own_ids(const std::string& uid, const std::string& gid) {
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", cat(uid, " ", uid, " 1"));
  write_file("/proc/self/gid_map", cat(gid, " ", gid, " 1"));
}

bool has_own_pid_max() {
  utsname system{};
  int major = 0;
  int minor = 0;
  if (uname(&system) != 0 || std::sscanf(system.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 14);
}

void limit_all(rlim_t memory_mb) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, kMaxFileBytes);
  limit(RLIMIT_NOFILE, kMaxOpenFiles);
#ifndef NOREGRET_SANITIZED  // a sanitizer's shadow is terabytes of address space
  if (memory_mb > 0) limit(RLIMIT_AS, memory_mb << 20);
#else
  (void)memory_mb;
#endif
  if (getpid() != 1) return;
  // Counted in the namespace. Root is not bound by the first; before 6.14 the second is all of the system's.
  limit(RLIMIT_NPROC, kMaxProcesses);
  if (has_own_pid_max()) write_file("/proc/sys/kernel/pid_max", cat(kMaxProcesses));
}

// In a namespace of our own one call reaches all, and none of them can fork after it. Elsewhere all that descend from
// us are, sooner or later, our children: their parents' death makes them ours.
void end_descendants(pid_t group) {
  if (getpid() == 1) return void(kill(-1, SIGKILL));
  kill(-group, SIGKILL);
  for (int round = 0; round < 1000; ++round) {
    std::ifstream children("/proc/self/task/" + std::to_string(getpid()) + "/children");
    pid_t pid = 0;
    while (children >> pid) kill(pid, SIGKILL);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD) return;
    usleep(1000);
  }
}

// Waits for the child, reaps whatever else dies, ends all of them when told to.
int supervise(pid_t child, const sigset_t& signals) {
  while (true) {
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != child) continue;
      const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      end_descendants(child);
      return code;
    }
    int number = 0;
    sigwait(&signals, &number);
    if (number != SIGTERM) continue;
    end_descendants(child);
    return 128 + SIGTERM;
  }
}

int run_child(const std::vector<std::string>& args) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (args[3] == "library") return run_worker_loop(3, args[4]);
  std::vector<std::string> command(args.begin() + 4, args.end());
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  const std::string why = cat("cannot start ", command[0], ": ", std::strerror(errno), "\n");
  (void)!write(STDERR_FILENO, why.data(), why.size());
  return 127;
}

}  // namespace

int run_reward_worker(const std::vector<std::string>& args) {
  const bool is_good = args.size() >= 5 && (args[3] == "library" || args[3] == "command");
  if (!is_good || fcntl(3, F_GETFD) < 0) return kBadUse;
  keep_own_ids(args[1], args[2]);
  limit_all(std::strtoull(args[0].c_str(), nullptr, 10));
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  sigset_t before;
  sigprocmask(SIG_BLOCK, &signals, &before);
  const pid_t child = fork();  // a small process with one thread
  if (child < 0) return 1;
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &before, nullptr);
    _exit(run_child(args));
  }
  close_range(0, ~0u, 0);  // the channel's end is to be seen when the child ends
  return supervise(child, signals);
}

}  // namespace noregret
