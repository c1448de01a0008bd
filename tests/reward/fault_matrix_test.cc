#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>
#include <thread>

#include "tests/reward/process_support.h"
#include "tests/support/sanitizer.h"

namespace noregret {
namespace {

using reward_support::config_error;
using reward_support::has_child;
using reward_support::item;
using reward_support::kTestPlugins;
using reward_support::num_open_files;
using reward_support::Outside;
using reward_support::outside_options;
using testing::HasSubstr;

constexpr double kSlack = 20.0;  // s, of a loaded machine

struct Fault {
  std::string completion;
  std::set<FailureKind> kinds;  // what the sample is marked with
  double timeout_s = 30.0;
  std::string plugin = "hostile";
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.completion; }

class FaultMatrix : public testing::TestWithParam<Fault> {};

TEST_P(FaultMatrix, SampleIsMarkedAndTheNextIsJudged) {
  const Fault& fault = GetParam();
  if (kIsSanitized && fault.completion == "10 GB") GTEST_SKIP() << "a sanitizer's worker has no memory limit";
  const Outside hostile(outside_options(fault.plugin, fault.timeout_s));
  const Stopwatch watch;
  const ComponentScore score = hostile.score(fault.completion);
  EXPECT_LT(watch.seconds(), fault.timeout_s + kSlack);
  EXPECT_EQ(fault.kinds.count(score.kind), 1u) << failure_name(score.kind) << ": " << score.error;
  EXPECT_EQ(score.status == ScoreStatus::kOk, score.kind == FailureKind::kNone);
  EXPECT_EQ(score.status == ScoreStatus::kOk, score.error.empty());
  if (fault.plugin != "hostile") return;
  const ComponentScore next = hostile.score("a good one");
  EXPECT_EQ(next.status, ScoreStatus::kOk) << next.error;
  EXPECT_EQ(next.score, 0.5);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, FaultMatrix,
    testing::Values(Fault{"throw std", {FailureKind::kThrew}}, Fault{"throw int", {FailureKind::kThrew}},
                    Fault{"any", {FailureKind::kCrashed, FailureKind::kThrew}, 30.0, "static_throw"},
                    Fault{"exit", {FailureKind::kCrashed}}, Fault{"abort", {FailureKind::kCrashed}},
                    Fault{"segv", {FailureKind::kCrashed}}, Fault{"kill 9", {FailureKind::kCrashed}},
                    Fault{"stack overflow", {FailureKind::kCrashed}}, Fault{"loop", {FailureKind::kTimeout}, 0.3},
                    Fault{"ignored sigterm", {FailureKind::kTimeout}, 0.3},
                    Fault{"10 GB", {FailureKind::kThrew}, 300.0}, Fault{"fork bomb", {FailureKind::kTimeout}, 1.0},
                    Fault{"daemons", {FailureKind::kNone}}, Fault{"closed descriptors", {FailureKind::kCrashed}},
                    Fault{"1 GB of output", {FailureKind::kNone}, 120.0},
                    Fault{"garbage on the channel", {FailureKind::kProtocol}},
                    Fault{"forged result", {FailureKind::kProtocol}},
                    Fault{"flood on the channel", {FailureKind::kProtocol}}, Fault{"nan", {FailureKind::kNotFinite}},
                    Fault{"too high", {FailureKind::kOutOfRange}}, Fault{"no verdict", {FailureKind::kWrongCount}},
                    Fault{"unload", {FailureKind::kCrashed, FailureKind::kNone}}));

TEST(FaultMatrixEnd, NoChildAndNoDescriptorIsLeft) {
  { const Outside warm(outside_options("hostile")); }
  const size_t num_before = num_open_files();
  {
    const Outside hostile(outside_options("hostile", 0.2));
    for (const char* fault : {"segv", "loop", "fork bomb", "daemons", "a good one"}) hostile.score(fault);
  }
  EXPECT_EQ(num_open_files(), num_before);
  EXPECT_FALSE(has_child());
}

TEST(WorkerLoad, FaultsAreToldAsInThisProcess) {
  for (const char* name :
       {"unresolved", "no_query", "null_query", "wrong_magic", "wrong_major", "short_size", "null_score", "bad_name"}) {
    const std::string inside = config_error([&] { Plugin(name, "{}", kTestPlugins); });
    EXPECT_EQ(config_error([&] { Outside(outside_options(name)); }), inside) << name;
  }
}

TEST(WorkerLoad, CrashIsAnErrorOfTheConfig) {
  EXPECT_THAT(config_error([] { Outside(outside_options("crashes_at_load")); }),
              testing::AllOf(HasSubstr("libcrashes_at_load.so: it does not start"), HasSubstr("signal 6")));
}

TEST(WorkerLoad, RefusedOptionsAreToldAsInThisProcess) {
  RewardOptions options = outside_options("plain_c");
  options.options = Node::from_json({{"x", 1}}, Location{});
  EXPECT_EQ(config_error([&] { Outside{options}; }), "reward plugin plain_c: plain_c takes no options");
}

TEST(WorkerLoad, MissingWorkerProgramSaysWhatToDo) {
  RewardHost host(kTestPlugins);
  host.worker = "/nowhere/worker";
  EXPECT_THAT(config_error([&] { Outside(outside_options("plain_c"), host); }),
              testing::AllOf(HasSubstr("/nowhere/worker"), HasSubstr("make build"), HasSubstr("isolation: none")));
}

TEST(Worker, GivesWhatTheProcessItselfGives) {
  const Outside outside(outside_options("plain_c", 60.0, 3));
  const Plugin inside("plain_c", "{}", kTestPlugins);
  std::vector<ScoreItem> items;
  for (int i = 0; i < 50; ++i) {
    items.push_back(item(std::string(static_cast<size_t>(i), 'x'), i % 7 == 0 ? "" : "0123456789"));
    items.back().id = "item " + std::to_string(i);
  }
  const std::vector<ComponentScore> got = outside.scorer->score(items);
  const std::vector<ComponentScore> want = inside.score(items);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].status, want[i].status);
    EXPECT_EQ(got[i].kind, want[i].kind);
    EXPECT_EQ(got[i].score, want[i].score);
    EXPECT_EQ(got[i].error, want[i].error);
    ASSERT_EQ(got[i].parts.size(), want[i].parts.size());
    for (size_t j = 0; j < got[i].parts.size(); ++j) EXPECT_EQ(got[i].parts[j].value, want[i].parts[j].value);
  }
  EXPECT_EQ(outside.scorer->name(), "plain_c");
  EXPECT_EQ(outside.scorer->max_reward(), 1.0);
  EXPECT_TRUE(outside.scorer->is_deterministic());
  EXPECT_EQ(outside.scorer->digest(), inside.digest());
}

TEST(Worker, OutputIsKeptForTheLog) {
  Outside hostile(outside_options("hostile"));
  hostile.score("chatter");
  hostile.scorer.reset();
  EXPECT_THAT(hostile.log.take(), HasSubstr("libhostile.so prints: hello from the judge\n"));
}

TEST(Worker, OutputWithoutEndIsKeptInPart) {
  Outside hostile(outside_options("hostile", 120.0));
  hostile.score("1 GB of output");
  hostile.scorer.reset();
  EXPECT_LT(hostile.log.take().size(), size_t{1} << 20);
}

TEST(Worker, DeadlineCountsFromTheBeginOfTheWork) {
  const Outside hostile(outside_options("hostile", 2.0, 1));
  const std::vector<ScoreItem> items(60, item("sleep"));  // 50 ms each: the last one waits for 3 s
  for (const ComponentScore& score : hostile.scorer->score(items)) EXPECT_EQ(score.status, ScoreStatus::kOk);
}

TEST(Worker, OneThatHangsDoesNotHoldTheOthersUp) {
  const Outside hostile(outside_options("hostile", 5.0, 2));
  std::vector<ScoreItem> items(20, item("a good one"));
  items[0] = item("loop");
  const std::vector<ComponentScore> scores = hostile.scorer->score(items);
  EXPECT_EQ(scores[0].kind, FailureKind::kTimeout);
  for (size_t i = 1; i < scores.size(); ++i) EXPECT_EQ(scores[i].status, ScoreStatus::kOk) << i;
}

TEST(Worker, ThreadsMayShareIt) {
  const Outside outside(outside_options("plain_c", 60.0, 2));
  std::atomic<int> num_good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const std::vector<ScoreItem> items(10, item("xx", "xxxx"));
      for (const ComponentScore& score : outside.scorer->score(items)) num_good += score.score == 0.5 ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_good, 40);
}

TEST(Worker, CancelEndsTheWait) {
  const Outside hostile(outside_options("hostile", 600.0, 1));
  CancelFlag cancel = false;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel = true;
  });
  const std::vector<ScoreItem> items(5, item("loop"));
  for (const ComponentScore& score : hostile.scorer->score(items, &cancel)) {
    EXPECT_EQ(score.status, ScoreStatus::kFailed);
  }
  later.join();
}

TEST(Worker, KilledFromOutsideCostsOneSample) {
  const Outside hostile(outside_options("hostile", 600.0, 1));
  hostile.score("a good one");
  std::thread killer([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream children(task.path() / "children");
      for (pid_t pid = 0; children >> pid;) kill(pid, SIGKILL);
    }
  });
  EXPECT_EQ(hostile.score("loop").kind, FailureKind::kCrashed);
  killer.join();
  EXPECT_EQ(hostile.score("a good one").status, ScoreStatus::kOk);
}

TEST(Worker, SeesNothingOfOurEnvironment) {
  ASSERT_EQ(setenv("NOREGRET_TEST_SECRET", "1", 1), 0);
  RewardOptions options;
  options.command = {"/usr/bin/env"};
  OutputLog log;
  EXPECT_THAT(config_error([&] { make_scorer(options, RewardHost(kTestPlugins), log); }), HasSubstr("does not start"));
  const std::string printed = log.take();
  EXPECT_THAT(printed, HasSubstr("PATH="));
  EXPECT_THAT(printed, testing::Not(HasSubstr("SECRET")));
}

// Processes whose command line holds the text.
size_t num_processes_of(const std::string& text) {
  size_t count = 0;
  std::error_code error;
  const std::filesystem::directory_iterator end;
  for (std::filesystem::directory_iterator entry("/proc", error); !error && entry != end; entry.increment(error)) {
    std::ifstream file(entry->path() / "cmdline");
    std::string line;
    std::getline(file, line);  // fails without a throw where the process has just ended
    count += line.find(text) != std::string::npos ? 1 : 0;
  }
  return count;
}

TEST(WorkerWithoutNamespace, DescendantsEndWithIt) {
  const reward_support::TempDir dir;  // a name that no other test's processes have
  const std::string plugin = (dir.path() / "libmine.so").string();
  std::filesystem::copy_file(kTestPlugins / "libhostile.so", plugin);
  RewardHost host(kTestPlugins);
  host.wants_namespace = false;
  for (const char* how : {"loop", "segv"}) {
    {
      const Outside hostile(outside_options(plugin, 2.0), host);
      EXPECT_EQ(hostile.score("daemons").status, ScoreStatus::kOk);
      EXPECT_NE(hostile.score(how).status, ScoreStatus::kOk);
    }
    for (int i = 0; i < 1000 && num_processes_of(plugin) > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(num_processes_of(plugin), 0u) << how;
  }
  EXPECT_FALSE(has_child());
}

// ---- what time-outs cost

TEST(WorkerSoak, TimeOutsLeaveNothingBehind) {
  const char* soak = std::getenv("NOREGRET_SOAK");
  const size_t num_items = soak == nullptr ? 100 : 10000;
  { const Outside warm(outside_options("hostile")); }
  const size_t num_before = num_open_files();
  {
    const Outside hostile(outside_options("hostile", 0.005, 4));
    const std::vector<ScoreItem> items(num_items, item("loop"));
    const Stopwatch watch;
    for (const ComponentScore& score : hostile.scorer->score(items)) {
      ASSERT_EQ(score.kind, FailureKind::kTimeout) << score.error;
    }
    RecordProperty("seconds", std::to_string(watch.seconds()));
    std::cout << num_items << " time-outs of 5 ms in " << watch.seconds() << " s\n";
  }
  EXPECT_EQ(num_open_files(), num_before);
  EXPECT_FALSE(has_child());
}

TEST(WorkerSoak, AnotherIsThereWithin200Milliseconds) {
  const Outside hostile(outside_options("hostile", 60.0, 1));
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {
    hostile.score("segv");
    const Stopwatch watch;
    EXPECT_EQ(hostile.score("a good one").status, ScoreStatus::kOk);
    best = std::min(best, watch.seconds());
  }
  std::cout << "best of 10 respawns: " << best * 1000 << " ms\n";
  EXPECT_LT(best, 0.2);
}

}  // namespace
}  // namespace noregret
