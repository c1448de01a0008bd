// Rewards that fail in a real run: the run lives, the sample is masked, and too many of them stop it.
#include <csignal>
#include <thread>

#include "tests/e2e/bad_input.h"
#include "tests/support/sanitizer.h"

namespace noregret::e2e {
namespace {

const fs::path kTestPlugins = fs::path(NOREGRET_BUILD_DIR) / "test_plugins";

// rl.yaml with these rewards in place of its own.
fs::path with_rewards(const WorkDir& folder, const std::string& rewards) {
  std::string text = text_of(folder.path() / "rl.yaml");
  const size_t begin = text.find("rewards:");
  const size_t end = text.find("optimizer:");
  return folder.write("mine.yaml", text.replace(begin, end - begin, rewards));
}

std::vector<Json> metrics_of(const fs::path& run_dir) { return json_lines(text_of(run_dir / "metrics.jsonl")); }

TEST(Rewards, PythonRewardTrains) {
  if (!fs::exists("/usr/bin/python3")) GTEST_SKIP() << "no python3";
  const WorkDir folder;
  folder.write("mine.py",
               "from noregret_reward import serve\n"
               "def score(item):\n"
               "    print('judging', item.id)\n"
               "    return 1.0 if item.completion == item.reference else 0.0\n"
               "serve(score, name='mine')\n");
  with_rewards(folder, "rewards: [{plugin: mine.py}]\n");
  output_of(folder.path(), {"train", "mine.yaml", "--run-dir", "runs/it"});
  const std::vector<Json> lines = metrics_of(folder.path() / "runs/it");
  ASSERT_EQ(lines.size(), 4U);
  for (const Json& line : lines) {
    EXPECT_EQ(line["reward/failed"], 0.0);
    EXPECT_TRUE(line.contains("reward/mine/mean"));
  }
  EXPECT_THAT(text_of(folder.path() / "runs/it/log.txt"), testing::HasSubstr("mine.py prints: judging"));
}

TEST(Rewards, PythonAndLibraryTrainToTheSameBytes) {
  if (!fs::exists("/usr/bin/python3")) GTEST_SKIP() << "no python3";
  const WorkDir folder;
  folder.write("mine.py",
               "from noregret_reward import serve\n"
               "serve(lambda item: 1.0 if item.completion == item.reference else 0.0, name='exact_match')\n");
  std::vector<std::string> metrics;
  for (const std::string how : {"plugin: mine.py", "plugin: exact_match", "plugin: exact_match, isolation: none"}) {
    with_rewards(folder, "rewards: [{" + how + "}]\n");
    const std::string run_dir = cat("runs/", metrics.size());
    output_of(folder.path(), {"train", "mine.yaml", "--run-dir", run_dir});
    metrics.push_back(text_of(folder.path() / run_dir / "metrics.jsonl"));
  }
  EXPECT_EQ(metrics[0], metrics[1]);
  EXPECT_EQ(metrics[1], metrics[2]);
}

TEST(Rewards, CrashesCostSamplesAndTooManyStopTheRun) {
  const WorkDir folder;
  with_rewards(folder, "rewards: [{plugin: " + (kTestPlugins / "libcrashes_on_3.so").string() + "}]\n");
  const ProcessResult lenient =
      run(folder.path(), {"train", "mine.yaml", "--run-dir", "runs/lenient", "--set", "rollout.max_failed=1"});
  EXPECT_EQ(lenient.exit_code, 0) << lenient.err;
  double num_crashed = 0.0;
  for (const Json& line : metrics_of(folder.path() / "runs/lenient")) {
    const double failed = line["reward/failed"].get<double>();
    num_crashed += failed;
    EXPECT_EQ(line.value("reward/failed/crashed", 0.0), failed);
  }
  EXPECT_GT(num_crashed, 0.0) << "no completion was a 3";
  const ProcessResult strict =
      run(folder.path(), {"train", "mine.yaml", "--run-dir", "runs/strict", "--set", "rollout.max_failed=0"});
  EXPECT_EQ(strict.exit_code, 77) << strict.err;
  // A sanitizer reports the signal, then exits.
  EXPECT_THAT(strict.err, testing::HasSubstr(cat("crashed: hostile_to_3: its process ended with ",
                                                 kIsSanitized ? "exit code 1" : "signal 11")));
  EXPECT_TRUE(fs::exists(folder.path() / "runs/strict/LATEST"));
}

TEST(Rewards, MissingServiceStopsTheRunWithCode77) {
  const WorkDir folder;
  with_rewards(folder, "rewards: [{plugin: 'http://127.0.0.1:1/score', timeout_s: 2}]\n");
  const ProcessResult result = run(folder.path(), {"train", "mine.yaml", "--run-dir", "runs/it"});
  EXPECT_EQ(result.exit_code, 77) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("cannot connect"));
}

// Processes whose command line holds the text.
size_t num_processes_of(const std::string& text) {
  size_t count = 0;
  std::error_code error;
  const fs::directory_iterator end;
  for (fs::directory_iterator entry("/proc", error); !error && entry != end; entry.increment(error)) {
    std::ifstream file(entry->path() / "cmdline");
    std::string line;
    std::getline(file, line);  // fails without a throw where the process has just ended
    count += line.find(text) != std::string::npos ? 1 : 0;
  }
  return count;
}

// A run whose reward never ends, in the middle of that.
class HangingReward : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists("/usr/bin/python3")) GTEST_SKIP() << "no python3";
    script_ = folder_.write("mine.py",
                            "from noregret_reward import serve\n"
                            "def score(item):\n"
                            "    open('started', 'w').close()\n"
                            "    while True: pass\n"
                            "serve(score, name='mine')\n");
    with_rewards(folder_, "rewards: [{plugin: mine.py, timeout_s: 1000}]\n");
    process_ = std::make_unique<Process>(noregret(folder_.path(), {"train", "mine.yaml", "--run-dir", "runs/it"}));
    for (int i = 0; i < 6000 && !fs::exists(folder_.path() / "started"); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_TRUE(fs::exists(folder_.path() / "started"));
  }

  void expect_no_worker() const {
    for (int i = 0; i < 1000 && num_processes_of(script_.string()) > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(num_processes_of(script_.string()), 0U);
  }

  WorkDir folder_;
  fs::path script_;
  std::unique_ptr<Process> process_;
};

TEST_F(HangingReward, IsLeftByASignalWithACheckpoint) {
  process_->send(SIGTERM);
  const ProcessResult result = process_->wait();
  EXPECT_EQ(result.exit_code, 75) << result.err;
  EXPECT_TRUE(fs::exists(folder_.path() / "runs/it/LATEST"));
  expect_no_worker();
}

TEST_F(HangingReward, DiesWithARunThatIsKilled) {
  EXPECT_GT(num_processes_of(script_.string()), 0U);
  process_->send(SIGKILL);
  EXPECT_EQ(process_->wait().signal, SIGKILL);
  expect_no_worker();
}

}  // namespace
}  // namespace noregret::e2e
