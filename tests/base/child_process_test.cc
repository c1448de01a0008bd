#include "noregret/base/child_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "noregret/base/clock.h"
#include "noregret/base/error.h"

namespace noregret {
namespace {

using testing::HasSubstr;

ProgramOptions shell(const std::string& script) {
  ProgramOptions options;
  options.program = "/bin/sh";
  options.args = {"-c", script};
  options.environment = {"PATH=/usr/bin:/bin"};
  options.timeout_s = 60;  // of a loaded machine
  return options;
}

size_t num_open_files() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count += entry.exists() ? 1 : 0;
  return count;
}

bool has_child() { return waitpid(-1, nullptr, WNOHANG) != -1; }

TEST(RunProgram, GivesOutputsAndExitCode) {
  ProgramOptions options = shell("cat; echo oops >&2; exit 3");
  options.input = "hello";
  const ProgramResult result = run_program(options);
  EXPECT_EQ(result.out, "hello");
  EXPECT_EQ(result.err, "oops\n");
  EXPECT_EQ(result.end.exit_code, 3);
  EXPECT_FALSE(result.is_timed_out);
}

TEST(RunProgram, SignalThatEndedItIsTold) {
  const ProgramResult result = run_program(shell("kill -SEGV $$"));
  EXPECT_EQ(result.end.signal, SIGSEGV);
  EXPECT_THAT(result.end.text(), HasSubstr("signal 11 (Segmentation"));
}

TEST(RunProgram, IgnoresNoSignalBecauseItsParentDoes) {
  const auto before = std::signal(SIGUSR1, SIG_IGN);
  const ProgramResult result = run_program(shell("kill -USR1 $$; echo still there"));
  std::signal(SIGUSR1, before);
  EXPECT_EQ(result.end.signal, SIGUSR1);
  EXPECT_EQ(result.out, "");
}

// A child is begun in its parent's memory.
TEST(RunProgram, LeavesItsParentsHandlers) {
  static volatile std::sig_atomic_t num_signals = 0;
  const auto before = std::signal(SIGUSR1, [](int) { num_signals = num_signals + 1; });
  run_program(shell("true"));
  std::raise(SIGUSR1);
  std::signal(SIGUSR1, before);
  EXPECT_EQ(num_signals, 1);
}

TEST(RunProgram, TimeOutEndsIt) {
  ProgramOptions options = shell("sleep 1000");
  options.timeout_s = 0.05;
  const Stopwatch watch;
  EXPECT_TRUE(run_program(options).is_timed_out);
  EXPECT_LT(watch.seconds(), 20.0);
}

TEST(RunProgram, WhatItStartedEndsWithIt) {
  ProgramOptions options = shell("sleep 1000 & echo $!");
  const std::string pid = run_program(options).out;  // and does not wait for the one that holds its output
  for (int i = 0; i < 1000 && kill(std::stoi(pid), 0) == 0; ++i) usleep(10000);
  EXPECT_NE(kill(std::stoi(pid), 0), 0);
}

TEST(RunProgram, ProgramThatClosesItsOutputsStillTimesOut) {
  ProgramOptions options = shell("exec >/dev/null 2>&1; sleep 1000");
  options.timeout_s = 0.2;
  EXPECT_TRUE(run_program(options).is_timed_out);
}

TEST(RunProgram, IgnoredTermDoesNotSaveIt) {
  ProgramOptions options = shell("trap '' TERM; echo ready; while :; do :; done");
  options.timeout_s = 0.5;
  const ProgramResult result = run_program(options);
  EXPECT_TRUE(result.is_timed_out);
  EXPECT_EQ(result.end.signal, SIGKILL);
}

TEST(RunProgram, TooMuchOutputEndsIt) {
  ProgramOptions options = shell("yes");
  options.max_output_bytes = 1000;
  const ProgramResult result = run_program(options);
  EXPECT_TRUE(result.is_output_too_long);
  EXPECT_EQ(result.out.size(), 1000u);
}

TEST(RunProgram, InputThatNobodyReadsIsNoError) {
  ProgramOptions options = shell("exit 0");
  options.input = std::string(1 << 20, 'x');
  EXPECT_EQ(run_program(options).end.exit_code, 0);
}

TEST(RunProgram, EnvironmentIsWhatWasGiven) {
  ASSERT_EQ(setenv("NOREGRET_TEST_SECRET", "secret", 1), 0);
  ProgramOptions options = shell("env");
  options.environment = {"PATH=/usr/bin:/bin", "A=b"};
  const std::string out = run_program(options).out;
  EXPECT_THAT(out, HasSubstr("A=b\n"));
  EXPECT_THAT(out, testing::Not(HasSubstr("secret")));
}

TEST(RunProgram, OtherDescriptorsAreClosed) {
  const int leak = open("/dev/null", O_RDONLY);  // not close-on-exec
  ASSERT_GE(leak, 0);
  EXPECT_EQ(run_program(shell("ls /proc/self/fd | wc -l")).out, "4\n");  // the three, and the one that ls opens
  close(leak);
}

TEST(RunProgram, MissingProgramIsAnErrorAndLeavesNothing) {
  ProgramOptions options = shell("");
  options.program = "/nowhere/program";
  const size_t num_before = num_open_files();
  try {
    run_program(options);
    FAIL() << "no error";
  } catch (const IoError& e) {
    EXPECT_THAT(e.what(), HasSubstr("/nowhere/program: cannot start it: No such file"));
  }
  EXPECT_EQ(num_open_files(), num_before);
  EXPECT_FALSE(has_child());
}

TEST(RunProgram, LeavesNoDescriptorAndNoZombie) {
  run_program(shell("true"));
  const size_t num_before = num_open_files();
  for (int i = 0; i < 20; ++i) run_program(shell("echo x"));
  EXPECT_EQ(num_open_files(), num_before);
  EXPECT_FALSE(has_child());
}

TEST(ChildProcess, NamespaceTakesDescendantsWithIt) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  ChildOptions options;
  options.program = "/bin/sh";
  options.args = {"-c", "setsid sh -c 'echo started; exec sleep 1000' & wait"};
  options.environment = {"PATH=/usr/bin:/bin"};
  options.descriptors = {-1, ends[1], -1};
  options.wants_namespace = true;
  ChildProcess child(options);
  close(ends[1]);
  if (!child.has_namespace()) GTEST_SKIP() << "no PID namespace may be made here";
  char byte = 0;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);  // the grandchild runs
  child.kill();
  std::string rest(100, '\0');
  ssize_t count = 0;
  while ((count = read(ends[0], rest.data(), rest.size())) > 0) {
  }
  EXPECT_EQ(count, 0);  // the end of the stream: nobody holds the other end any more
  close(ends[0]);
}

TEST(ChildProcess, EndIsToldOnceAndAgain) {
  ChildOptions options;
  options.program = "/bin/sh";
  options.args = {"-c", "exit 7"};
  options.descriptors = {-1, -1, -1};
  ChildProcess child(options);
  ASSERT_TRUE(child.wait_for(60.0));
  EXPECT_EQ(child.wait_for(0.0)->exit_code, 7);
  EXPECT_EQ(child.kill().exit_code, 7);
}

}  // namespace
}  // namespace noregret
