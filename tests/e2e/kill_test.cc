// Real runs that are killed or stopped at random moments, and go on.
#include <chrono>
#include <sstream>
#include <thread>

#include "tests/e2e/bad_input.h"
#include "tests/support/soak.h"

namespace noregret::e2e {
namespace {

constexpr int kStopped = 75;

// A run with every phase: evaluations, rewards, saves, several microbatches.
std::vector<std::string> long_run(const std::string& run_dir) {
  return {"train", "rl.yaml",        "--run-dir", run_dir,
          "--set", "train.steps=40", "--set",     "train.save_every=3",
          "--set", "eval.every=9",   "--set",     "train.microbatch_tokens=8"};
}

// Everything that a run computed.
std::vector<std::string> results(const fs::path& run) {
  const std::string line = text_of(run / "LATEST");
  const fs::path checkpoint = run / "checkpoints" / line.substr(0, line.find(' '));
  verify_dir(checkpoint);
  std::vector<std::string> all = {text_of(run / "metrics.jsonl"), sha256_file(checkpoint / "adapter_model.safetensors"),
                                  sha256_file(checkpoint / "optimizer.safetensors")};
  for (const auto& [name, hash] : listing(run / "rollouts")) all.push_back(name + " " + hash);
  return all;
}

void sleep_ms(double ms) { std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int64_t>(1000 * ms))); }

// Whether the process catches the signal: one that comes before its first line of code is nobody's.
bool catches(pid_t pid, int signal) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("SigCgt:", 0) != 0) continue;
    return (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0;
  }
  return false;
}

class InterruptedRun : public testing::Test {
 protected:
  InterruptedRun() {
    const auto start = std::chrono::steady_clock::now();
    output_of(folder_.path(), long_run("whole"));
    run_ms_ = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    whole_ = results(folder_.path() / "whole");
    const Json last = json_lines(text_of(folder_.path() / "whole/metrics.jsonl")).back();
    EXPECT_GT(last["adapter/norm_b"], 0.0) << "the run learns nothing, so that nothing could differ";
  }

  // A run that is done is as if it never was interrupted; the next one begins.
  void expect_whole() {
    EXPECT_EQ(results(folder_.path() / "run"), whole_);
    fs::remove_all(folder_.path() / "run");
  }

  WorkDir folder_;
  double run_ms_ = 0.0;
  std::vector<std::string> whole_;
};

TEST_F(InterruptedRun, KilledAtAnyMomentGoesOnAsIfNeverKilled) {
  Rng rng(31);
  const int64_t count = soak_count(10, 200);
  int64_t num_runs = 0;
  for (int64_t num_killed = 0; num_killed < count;) {
    Process process(noregret(folder_.path(), long_run("run")));
    sleep_ms(rng.uniform(0.2F, 1.0F) * run_ms_);
    process.send(SIGKILL);
    const ProcessResult result = process.wait();
    if (result.signal == SIGKILL) {
      ++num_killed;
      continue;
    }
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ++num_runs;
    expect_whole();
  }
  output_of(folder_.path(), long_run("run"));
  expect_whole();
  std::cout << count << " kills, " << num_runs + 1 << " runs came to their end\n";
}

TEST_F(InterruptedRun, StoppedAtAnyMomentLeavesACheckpointAndGoesOn) {
  Rng rng(32);
  const int64_t count = soak_count(10, 100);
  double slowest_s = 0.0;
  for (int64_t num_stopped = 0; num_stopped < count;) {
    const int signal = num_stopped % 2 == 0 ? SIGTERM : SIGINT;
    Process process(noregret(folder_.path(), long_run("run")));
    while (!catches(process.pid(), signal)) sleep_ms(1);
    sleep_ms(rng.uniform(0.0F, 0.8F) * run_ms_);
    const auto sent = std::chrono::steady_clock::now();
    process.send(signal);
    const ProcessResult result = process.wait();
    if (result.exit_code == 0) {
      expect_whole();
      continue;
    }
    ++num_stopped;
    slowest_s = std::max(slowest_s, std::chrono::duration<double>(std::chrono::steady_clock::now() - sent).count());
    ASSERT_EQ(result.exit_code, kStopped) << result.signal << result.err;
    const std::string last = lines_of(result.err).back();
    ASSERT_THAT(last, testing::HasSubstr("the same command goes on from there"));
    const size_t at = last.find("checkpoints/");
    ASSERT_NE(at, std::string::npos) << last;
    ASSERT_NO_THROW(verify_dir(folder_.path() / "run" / last.substr(at, last.find(';', at) - at)));
  }
  output_of(folder_.path(), long_run("run"));
  expect_whole();
  EXPECT_LT(slowest_s, 10.0);
  std::cout << count << " stops, the slowest took " << slowest_s << " s\n";
}

TEST_F(InterruptedRun, SigusrSavesAndTheRunGoesOn) {
  Process process(noregret(folder_.path(), long_run("run") + std::vector<std::string>{"--set", "train.save_every=0"}));
  ASSERT_TRUE(process.wait_for_error_text("step 5/"));
  process.send(SIGUSR1);
  ASSERT_TRUE(process.wait_for_error_text("SIGUSR1: the newest checkpoint: run/checkpoints/step_0000"));
  EXPECT_EQ(process.wait().exit_code, 0);
  expect_whole();
}

TEST(SecondSignal, EndsTheRunAtOnceAndTheLastCheckpointStays) {
  const WorkDir folder;
  Process process(noregret(folder.path(), long_run("run")));
  ASSERT_TRUE(process.wait_for_error_text("step 5/"));
  process.send(SIGTERM);
  process.send(SIGTERM);
  const auto sent = std::chrono::steady_clock::now();
  const ProcessResult result = process.wait();
  EXPECT_TRUE(result.signal == SIGTERM || result.exit_code == kStopped) << result.err;
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - sent).count(), 1.0);
  output_of(folder.path(), long_run("run"));
}

TEST(Stall, IsNamedWithWhatItWaitsForAndEndsTheRun) {
  const WorkDir folder;
  // A reward that never says that it is there.
  const std::string reward = R"(rewards=[{"command": ["sleep", "600"], "timeout_s": 600}])";
  const ProcessResult result =
      run(folder.path(), {"train", "rl.yaml", "--run-dir", "run", "--set", reward, "--set", "train.stall_s=0.2"});
  EXPECT_EQ(result.exit_code, 70) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("warning: no progress for 0.2 s in: reading the inputs"));
  EXPECT_THAT(lines_of(result.err).back(), testing::StartsWith("noregret: no progress for 0.4 s in: "));
}

TEST(AllowFlag, MayBeRepeatedAndTellsBothValues) {
  const WorkDir folder;
  output_of(folder.path(), {"train", "sft.yaml", "--run-dir", "run", "--steps", "2"});
  const std::vector<std::string> changed = {"train", "sft.yaml", "--run-dir", "run",
                                            "--set", "seed=9",   "--set",     "optimizer.eps=1e-7"};
  const ProcessResult refused = run(folder.path(), changed);
  EXPECT_EQ(refused.exit_code, 78);
  EXPECT_THAT(refused.err, testing::HasSubstr("these differ: seed, optimizer.eps"));
  EXPECT_THAT(refused.err, testing::HasSubstr("pass --allow seed --allow optimizer.eps to go on"));
  const ProcessResult allowed =
      run(folder.path(), changed + std::vector<std::string>{"--allow", "seed", "--allow", "optimizer.eps"});
  EXPECT_EQ(allowed.exit_code, 0) << allowed.err;
  EXPECT_THAT(allowed.err, testing::HasSubstr("warning: seed was 3, is 9 (--allow seed)"));
  EXPECT_THAT(allowed.err, testing::HasSubstr("warning: optimizer.eps was 1e-8, is 1e-7 (--allow optimizer.eps)"));
}

}  // namespace
}  // namespace noregret::e2e
