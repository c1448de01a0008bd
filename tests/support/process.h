#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace noregret {

struct Command {
  std::vector<std::string> argv;  // argv[0] is the path of the program
  std::string input = "";         // what a pipe on stdin holds
  std::filesystem::path folder = ".";
  std::vector<std::string> environment = {};  // "NAME=value", before what is inherited
  std::string output_path = "";               // stdout goes there instead of into a pipe
  double timeout_s = 120;
};

struct ProcessResult {
  int exit_code = -1;  // -1: ended by a signal
  int signal = 0;
  bool is_timed_out = false;  // killed after timeout_s
  std::string out;
  std::string err;
};

// A child process with pipes on stdin, stdout and stderr. Every wait ends at the command's deadline with a kill.
class Process {
 public:
  explicit Process(Command command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const { ::kill(pid_, signal); }
  // Nobody reads stdout from now on.
  void close_output() { close_end(out_); }
  // Reads until stderr holds the text; false when the process ends or is killed before.
  bool wait_for_error_text(const std::string& text);
  ProcessResult wait();
  pid_t pid() const { return pid_; }

 private:
  static void close_end(int& fd);
  // Moves bytes for at most 100 ms. False once stdout and stderr are at their end.
  bool pump();
  bool drain(int& fd, std::string& text);
  void feed();
  void reap(int options);
  void kill_if_late();

  Command command_;
  std::chrono::steady_clock::time_point deadline_;
  pid_t pid_ = -1;
  bool is_reaped_ = false;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
  size_t num_fed_ = 0;
  ProcessResult result_;
};

inline ProcessResult run_process(Command command) { return Process(std::move(command)).wait(); }

inline Process::Process(Command command)
    : command_(std::move(command)),
      deadline_(std::chrono::steady_clock::now() +
                std::chrono::milliseconds(static_cast<int64_t>(command_.timeout_s * 1000))) {
  // A child that does not read all of stdin must not end the test program.
  std::signal(SIGPIPE, SIG_IGN);
  std::array<std::array<int, 2>, 3> pipes{};
  for (auto& pipe : pipes) {
    if (pipe2(pipe.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[0][0], 0);
  if (command_.output_path.empty()) {
    posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 1);
  } else {
    posix_spawn_file_actions_addopen(&actions, 1, command_.output_path.c_str(), O_WRONLY | O_CREAT, 0644);
  }
  posix_spawn_file_actions_adddup2(&actions, pipes[2][1], 2);
  posix_spawn_file_actions_addchdir_np(&actions, command_.folder.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> argv;
  for (std::string& text : command_.argv) argv.push_back(text.data());
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (std::string& text : command_.environment) environment.push_back(text.data());
  for (char** inherited = environ; *inherited != nullptr; ++inherited) environment.push_back(*inherited);
  environment.push_back(nullptr);
  const int error = posix_spawn(&pid_, argv[0], &actions, &attributes, argv.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  in_ = pipes[0][1];
  out_ = pipes[1][0];
  err_ = pipes[2][0];
  for (int child_end : {pipes[0][0], pipes[1][1], pipes[2][1]}) ::close(child_end);
  if (error != 0) {
    is_reaped_ = true;
    for (int* fd : {&in_, &out_, &err_}) close_end(*fd);
    throw std::runtime_error(command_.argv[0] + ": " + std::strerror(error));
  }
  for (const int fd : {in_, out_, err_}) fcntl(fd, F_SETFL, O_NONBLOCK);
}

inline Process::~Process() {
  if (!is_reaped_) {
    ::kill(pid_, SIGKILL);
    reap(0);
  }
  for (int* fd : {&in_, &out_, &err_}) close_end(*fd);
}

inline void Process::close_end(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

inline void Process::feed() {
  if (in_ < 0) return;
  const size_t num_left = command_.input.size() - num_fed_;
  const ssize_t count = num_left == 0 ? 0 : ::write(in_, command_.input.data() + num_fed_, num_left);
  if (count > 0) num_fed_ += static_cast<size_t>(count);
  const bool is_broken = count < 0 && errno != EAGAIN && errno != EINTR;
  if (is_broken || num_fed_ == command_.input.size()) close_end(in_);
}

inline bool Process::drain(int& fd, std::string& text) {
  std::array<char, 65536> buffer;
  while (fd >= 0) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count > 0) {
      text.append(buffer.data(), static_cast<size_t>(count));
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else if (count < 0 && errno == EAGAIN) {
      return true;
    } else {
      close_end(fd);
    }
  }
  return false;
}

inline bool Process::pump() {
  std::array<pollfd, 3> waits = {{{in_, POLLOUT, 0}, {out_, POLLIN, 0}, {err_, POLLIN, 0}}};
  ::poll(waits.data(), waits.size(), 100);  // a negative descriptor is left out
  feed();
  const bool has_out = drain(out_, result_.out);
  const bool has_err = drain(err_, result_.err);
  kill_if_late();
  return has_out || has_err;
}

inline void Process::kill_if_late() {
  if (std::chrono::steady_clock::now() < deadline_ || is_reaped_ || result_.is_timed_out) return;
  result_.is_timed_out = true;
  ::kill(pid_, SIGKILL);
}

inline void Process::reap(int options) {
  int status = 0;
  if (is_reaped_ || ::waitpid(pid_, &status, options) != pid_) return;
  is_reaped_ = true;
  if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
}

inline bool Process::wait_for_error_text(const std::string& text) {
  while (result_.err.find(text) == std::string::npos) {
    if (!pump()) return result_.err.find(text) != std::string::npos;
  }
  return true;
}

inline ProcessResult Process::wait() {
  while (pump()) {
  }
  for (reap(WNOHANG); !is_reaped_; reap(WNOHANG)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    kill_if_late();
  }
  return result_;
}

}  // namespace noregret
