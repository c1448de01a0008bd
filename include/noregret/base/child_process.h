#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace noregret {

// How a process ended.
struct ChildEnd {
  int exit_code = -1;  // -1: by a signal
  int signal = 0;
  std::string text() const;  // "exit code 3", "signal 11 (Segmentation fault)"
};

struct ChildOptions {
  std::string program;                   // path; there is no search
  std::vector<std::string> args;         // without the program's own name
  std::vector<std::string> environment;  // "NAME=value": all that it gets
  std::vector<int> descriptors;          // become 0, 1, 2, ...; -1 is /dev/null. All others are closed in the child
  bool wants_namespace = false;          // PID namespace of its own, where the system lets us
};

// A program in a process group of its own. The kill in the destructor ends and reaps it. Whichever way it ends, its
// group ends with it, and all of its descendants where it has a PID namespace.
//
// A child that asks for PR_SET_PDEATHSIG is killed when the *thread* that started it ends.
class ChildProcess {
 public:
  explicit ChildProcess(const ChildOptions& options);  // throws IoError
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool has_namespace() const { return has_namespace_; }
  int end_fd() const { return end_fd_; }  // readable once it ended; -1 where the kernel has no pidfd

  // How it ended, if it does within that time. Safe to call again.
  std::optional<ChildEnd> wait_for(double seconds);
  // Ends it: SIGTERM, so that a supervisor can end what it started, and SIGKILL to the group 0.2 s later. Not SIGKILL
  // at once in a namespace either: its first process frees its memory before the others end, and among hundreds that
  // fork that takes up to a minute.
  ChildEnd kill();

 private:
  bool has_ended(bool waits) const;  // and is not reaped
  void reap();

  pid_t pid_ = -1;
  int end_fd_ = -1;
  bool has_namespace_ = false;
  std::optional<ChildEnd> end_;
};

struct ProgramOptions {
  std::string program;
  std::vector<std::string> args;
  std::vector<std::string> environment;
  std::string input;                   // what stdin holds
  std::vector<int> extra_descriptors;  // become 3, 4, ...
  double timeout_s = 10.0;
  size_t max_output_bytes = size_t{1} << 20;  // of stdout and of stderr; more of either ends the program
};

struct ProgramResult {
  ChildEnd end;
  bool is_timed_out = false;
  bool is_output_too_long = false;
  std::string out;
  std::string err;
};

// Runs a program to its end, its time-out, or too much output. Throws IoError where it cannot be started.
ProgramResult run_program(const ProgramOptions& options);

}  // namespace noregret
