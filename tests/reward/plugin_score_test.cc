#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "noregret/base/text.h"
#include "tests/reward/reward_support.h"

namespace noregret {
namespace {

using reward_support::item;
using reward_support::load;
using reward_support::score_one;
using testing::HasSubstr;

// The error of the fault that the completion names; a failure has no number and no parts.
std::string fault(const std::string& completion) {
  static const Plugin plugin = load("faults");
  const ComponentScore score = score_one(plugin, completion);
  EXPECT_EQ(score.status, ScoreStatus::kFailed) << completion;
  EXPECT_EQ(score.score, 0.0) << completion;
  EXPECT_TRUE(score.parts.empty()) << completion;
  return score.error;
}

TEST(PluginScore, NoItemsGiveNoScores) { EXPECT_TRUE(load("faults").score({}).empty()); }

TEST(PluginScore, OneVerdictAnItemInOrder) {
  const Plugin plugin = load("plain_c");
  std::vector<ScoreItem> items;
  for (size_t i = 0; i <= 8; ++i) items.push_back(item(std::string(i, 'x'), "12345678"));
  const std::vector<ComponentScore> scores = plugin.score(items);
  ASSERT_EQ(scores.size(), 9u);
  for (size_t i = 0; i <= 8; ++i) {
    EXPECT_EQ(scores[i].status, ScoreStatus::kOk);
    EXPECT_EQ(scores[i].score, static_cast<double>(i) / 8.0);
  }
}

TEST(PluginScore, FailureOfOneItemLeavesTheOthers) {
  const Plugin plugin = load("plain_c");
  const std::vector<ScoreItem> items = {item("x", "x"), item("x", ""), item("", "x")};
  const std::vector<ComponentScore> scores = plugin.score(items);
  EXPECT_EQ(scores[0].score, 1.0);
  EXPECT_EQ(scores[1].status, ScoreStatus::kFailed);
  EXPECT_EQ(scores[1].error, "no reference to measure by");
  EXPECT_EQ(scores[2].status, ScoreStatus::kOk);
  EXPECT_EQ(scores[2].score, 0.0);
}

TEST(PluginScore, WholeBatchIsOneCall) {
  const Plugin plugin = load("faults");  // "rest left" ends the call
  const std::vector<ScoreItem> items = {item("ok"), item("rest left"), item("ok")};
  const std::vector<ComponentScore> scores = plugin.score(items);
  EXPECT_EQ(scores[0].status, ScoreStatus::kOk);
  EXPECT_EQ(scores[1].error, "left without a verdict");
  EXPECT_EQ(scores[2].error, "left without a verdict");
}

TEST(PluginScore, ItemWithoutAVerdictIsAFailure) { EXPECT_EQ(fault("unset"), "left without a verdict"); }

TEST(PluginScore, UnknownStatusIsAFailure) { EXPECT_THAT(fault("status 77"), HasSubstr("unknown status 77")); }

TEST(PluginScore, NonFiniteRewardIsAFailure) {
  EXPECT_EQ(fault("nan"), "reward is nan, want a finite number");
  EXPECT_EQ(fault("inf"), "reward is inf, want a finite number");
}

TEST(PluginScore, RewardOutsideTheDeclaredRangeIsAFailure) {
  EXPECT_EQ(fault("too high"), "reward is 1.5, the plugin declares 0 to 1");
  EXPECT_EQ(fault("too low"), "reward is -0.5, the plugin declares 0 to 1");
}

TEST(PluginScore, FailureKeepsItsText) { EXPECT_EQ(fault("fails"), "the judge is ill"); }

TEST(PluginScore, FailureGivesNoNumber) { EXPECT_EQ(fault("fails with a reward"), "no"); }

TEST(PluginScore, FailureWithoutATextSaysSo) { EXPECT_EQ(fault("fails without a text"), "failed without saying why"); }

TEST(PluginScore, ErrorTextBecomesOneLineOfUtf8) {
  EXPECT_EQ(fault("fails in two lines"), "one two ");
  EXPECT_EQ(fault("fails in latin-1"), "caf?!");
  EXPECT_EQ(fault("fails cut in a character"), "caf");
  EXPECT_EQ(fault("fails in French"), "caf\xC3\xA9");
}

TEST(PluginScore, ErrorBeyondItsBufferIsNotRead) {
  EXPECT_THAT(fault("endless error"), HasSubstr("the buffer has 512"));
}

TEST(PluginScore, PartsArriveInOrder) {
  const Plugin plugin = load("faults");
  const ComponentScore score = score_one(plugin, "good parts");
  ASSERT_EQ(score.parts.size(), 2u);
  EXPECT_EQ(score.parts[0].name, "a.b-c_1");
  EXPECT_EQ(score.parts[0].value, 1.5);
  EXPECT_EQ(score.parts[1].name, "y");
  EXPECT_EQ(score.parts[1].value, -2.0);
}

TEST(PluginScore, BadPartFailsTheWholeResult) {
  EXPECT_EQ(fault("nan part"), "part 'x' is nan, want a finite number");
  EXPECT_THAT(fault("unnamed part"), HasSubstr("part 0 is called ''"));
  EXPECT_THAT(fault("part with a slash"), HasSubstr("'a/b'"));
  EXPECT_THAT(fault("two equal parts"), HasSubstr("two parts are called 'x'"));
}

TEST(PluginScore, PartsBeyondTheirBufferAreNotRead) {
  EXPECT_THAT(fault("17 parts"), HasSubstr("num_parts is 17, want at most 16"));
  EXPECT_THAT(fault("endless parts"), HasSubstr("want at most 16"));
  EXPECT_THAT(fault("part name size"), HasSubstr("want 1 to 48"));
}

TEST(PluginScore, HostsOwnFieldsAreNotTakenBack) {
  const ComponentScore score = score_one(load("faults"), "host fields");
  EXPECT_EQ(score.status, ScoreStatus::kOk);
  EXPECT_EQ(score.parts.at(0).value, 1.0);
}

TEST(PluginScore, ExceptionFailsEveryItemOfTheCall) {
  const Plugin plugin = load("throws");
  const std::vector<ScoreItem> items = {item("x"), item("")};
  for (const ComponentScore& score : plugin.score(items)) {
    EXPECT_EQ(score.status, ScoreStatus::kFailed);
    EXPECT_EQ(score.error, "let an exception out: out of luck");
  }
  EXPECT_THAT(score_one(plugin, "i").error, HasSubstr("no std::exception"));
  EXPECT_EQ(score_one(plugin, "").score, 0.5);  // and the next call works
}

TEST(PluginScore, PluginThatIsNotThreadSafeTakesTurns) {
  const Plugin plugin = load("takes_turns");
  std::vector<std::thread> threads;
  std::atomic<int> num_failed = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const std::vector<ScoreItem> items(8, item("x"));
      for (int call = 0; call < 50; ++call) {
        for (const ComponentScore& score : plugin.score(items)) num_failed += score.status != ScoreStatus::kOk;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_failed, 0);
  EXPECT_EQ(score_one(plugin, "x").parts.at(0).value, 4 * 50 * 8 + 1);
}

TEST(PluginScore, BatchOfThousandsKeepsItemsApart) {
  const Plugin plugin = load("plain_c");
  std::vector<ScoreItem> items;
  for (size_t i = 0; i < 5000; ++i) items.push_back(item(std::string(i % 7, 'x'), i % 11 == 0 ? "" : "1234567"));
  const std::vector<ComponentScore> scores = plugin.score(items);
  for (size_t i = 0; i < items.size(); ++i) {
    const bool has_reference = i % 11 != 0;
    ASSERT_EQ(scores[i].status, has_reference ? ScoreStatus::kOk : ScoreStatus::kFailed) << i;
    ASSERT_EQ(scores[i].score, has_reference ? static_cast<double>(i % 7) / 7.0 : 0.0) << i;
  }
}

}  // namespace
}  // namespace noregret
