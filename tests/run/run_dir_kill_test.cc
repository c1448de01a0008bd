#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "noregret/base/error.h"
#include "tests/run/run_dir_support.h"

namespace noregret {
namespace {

// Saves step after step, each of them twice as a run does that was stopped in an evaluation, while the next line is
// logged, and says so on the pipe when a save is done, until it is killed.
[[noreturn]] void save_for_ever(const RunDir::Setup& setup, int64_t next_step, int pipe_end) {
  try {
    RunDir run(setup);
    for (int64_t step = next_step;; ++step) {
      run.log(step, metrics_of({{"loss/value", 1.0}}), Metrics());
      run.finish_save();
      const char done = static_cast<char>(step - 1);
      if (step > next_step && write(pipe_end, &done, 1) != 1) _exit(1);
      for (int i = 0; i < 2; ++i) {
        run.begin_save(step, {{"weights", std::string(50000, static_cast<char>('a' + step % 26))}}, Json::object(),
                       {.keep_last = 1});
      }
    }
  } catch (const std::exception&) {
    _exit(2);
  }
}

// Forks a saver, waits for its first steps, and kills it `delay` later. Returns the last step that it said was saved.
int64_t kill_while_saving(const RunDir::Setup& setup, int64_t next_step, std::chrono::microseconds delay) {
  int pipe_ends[2];
  EXPECT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) save_for_ever(setup, next_step, pipe_ends[1]);
  close(pipe_ends[1]);
  char last = 0;
  EXPECT_EQ(read(pipe_ends[0], &last, 1), 1);
  const auto end = std::chrono::steady_clock::now() + delay;
  while (std::chrono::steady_clock::now() < end) {
  }
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the saver ended by itself with " << WEXITSTATUS(status);
  while (read(pipe_ends[0], &last, 1) == 1) {
  }
  close(pipe_ends[0]);
  return last;
}

TEST(RunDirKill, NoMomentOfASaveLosesTheRun) {
  const ScratchDir dir;
  RunDir::Setup setup = run_setup(dir.path() / "run");
  int64_t next_step = 1;
  for (int round = 0; round < 24; ++round) {
    const int64_t saved = kill_while_saving(setup, next_step, std::chrono::microseconds(173 * round));
    setup.resume = RunDir::Resume::kRequired;
    const RunDir run(setup);
    EXPECT_THAT(run.warnings(), testing::IsEmpty());
    ASSERT_TRUE(run.checkpoint());
    const Json state = parse_json(text_of(*run.checkpoint() / "state.json"), "state.json");
    const int64_t step = state["step"];
    EXPECT_GE(step, saved);
    EXPECT_LE(step, saved + 1);
    EXPECT_EQ(text_of(*run.checkpoint() / "weights").front(), static_cast<char>('a' + step % 26));
    EXPECT_EQ(json_lines(dir.path() / "run/metrics.jsonl").size(), static_cast<size_t>(step));
    next_step = step + 1;
    ASSERT_LT(next_step, 120);  // a step is one byte on the pipe
  }
}

}  // namespace
}  // namespace noregret
