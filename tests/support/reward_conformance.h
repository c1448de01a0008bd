#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/reward/rubric.h"
#include "tests/support/odd_texts.h"

// What every reward plugin keeps to; tests/rewards/conformance_test.cc names the plugins.
namespace noregret {

struct RewardSubject {
  std::string plugin;
  std::string options_json;
  ScoreItem right;               // gets the largest reward
  ScoreItem wrong;               // gets less
  bool reads_completion = true;  // false: it judges by the metadata alone
};
inline void PrintTo(const RewardSubject& subject, std::ostream* out) { *out << subject.plugin << subject.options_json; }

class RewardConformance : public testing::TestWithParam<RewardSubject> {
 protected:
  static Plugin load(const std::string& options_json = GetParam().options_json) {
    return Plugin(GetParam().plugin, options_json, std::filesystem::path(NOREGRET_BUILD_DIR) / "rewards");
  }

  static std::vector<ScoreItem> odd_items() {
    std::vector<ScoreItem> items = {GetParam().right, GetParam().wrong};
    for (const std::string& text : odd_texts()) {
      items.insert(items.end(), 4, GetParam().right);
      ScoreItem* last = &items.back();
      last[-3].completion = text;
      last[-2].reference = text;
      last[-1].id = last[-1].prompt = last[-1].metadata_json = last[-1].finish_reason = text;
      *last = ScoreItem{text, text, text, text, text, text};
    }
    return items;
  }

  static ComponentScore score_one(const Plugin& plugin, const ScoreItem& item) {
    return plugin.score({&item, 1}).at(0);
  }
};

// All of each verdict, for comparisons.
inline std::vector<std::string> texts_of(const std::vector<ComponentScore>& scores) {
  std::vector<std::string> texts;
  for (const ComponentScore& score : scores) {
    std::string text = cat(score.status == ScoreStatus::kOk ? "ok " : "failed ", score.score, " ", score.error);
    for (const PartScore& part : score.parts) text += cat(" ", part.name, "=", part.value);
    texts.push_back(text);
  }
  return texts;
}

inline std::set<std::string> part_names(const ComponentScore& score) {
  std::set<std::string> names;
  for (const PartScore& part : score.parts) names.insert(part.name);
  return names;
}

TEST_P(RewardConformance, NameIsThatOfItsFile) { EXPECT_EQ(load().name(), GetParam().plugin); }

TEST_P(RewardConformance, RightGetsTheMostAndWrongLess) {
  const Plugin plugin = load();
  const ComponentScore right = score_one(plugin, GetParam().right);
  const ComponentScore wrong = score_one(plugin, GetParam().wrong);
  ASSERT_EQ(right.status, ScoreStatus::kOk) << right.error;
  ASSERT_EQ(wrong.status, ScoreStatus::kOk) << wrong.error;
  EXPECT_EQ(right.score, plugin.max_reward());
  EXPECT_LT(wrong.score, right.score);
}

TEST_P(RewardConformance, OddTextsGetAVerdictOrAReason) {
  const Plugin plugin = load();
  const std::vector<ScoreItem> items = odd_items();
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<ComponentScore> scores = plugin.score(items);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  ASSERT_EQ(scores.size(), items.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i].status == ScoreStatus::kFailed) {
      EXPECT_NE(scores[i].error, "") << "item " << i;
    } else {
      EXPECT_GE(scores[i].score, plugin.min_reward()) << "item " << i;
      EXPECT_LE(scores[i].score, plugin.max_reward()) << "item " << i;
      EXPECT_EQ(part_names(scores[i]), part_names(scores[0])) << "item " << i;  // a metric is a mean over all items
    }
  }
  EXPECT_LT(seconds.count(), 20.0);  // linear time takes well below 1 s, quadratic time hours
}

TEST_P(RewardConformance, EmptyCompletionIsAVerdictNotAFailure) {
  ScoreItem item = GetParam().right;
  item.completion = "";
  const Plugin plugin = load();
  const ComponentScore score = score_one(plugin, item);
  EXPECT_EQ(score.status, ScoreStatus::kOk) << score.error;
  if (GetParam().reads_completion) {
    EXPECT_LT(score.score, plugin.max_reward());
  }
}

TEST_P(RewardConformance, SameItemsGetTheSameScores) {
  const Plugin plugin = load();
  const std::vector<ScoreItem> items = odd_items();
  const std::vector<std::string> first = texts_of(plugin.score(items));
  EXPECT_EQ(texts_of(plugin.score(items)), first);
  EXPECT_EQ(texts_of(load().score(items)), first);
}

TEST_P(RewardConformance, VerdictDoesNotDependOnTheBatch) {
  const Plugin plugin = load();
  const std::vector<ScoreItem> items = odd_items();
  std::vector<ComponentScore> alone(items.size());
  for (size_t i = items.size(); i-- > 0;) alone[i] = score_one(plugin, items[i]);
  EXPECT_EQ(texts_of(plugin.score(items)), texts_of(alone));
}

TEST_P(RewardConformance, ThreadsGetTheSameScores) {
  const Plugin plugin = load();
  const std::vector<ScoreItem> items = {GetParam().right, GetParam().wrong, GetParam().right};
  std::vector<std::vector<ComponentScore>> by_thread(4);
  std::vector<std::thread> threads;
  for (std::vector<ComponentScore>& scores : by_thread) {
    threads.emplace_back([&] {
      for (int call = 0; call < 200; ++call) scores = plugin.score(items);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<ComponentScore>& scores : by_thread)
    EXPECT_EQ(texts_of(scores), texts_of(plugin.score(items)));
}

TEST_P(RewardConformance, OptionsThatItDoesNotKnowAreRefused) {
  for (const char* options : {R"({"no_such_option":1})", "[]", "7", "null", "{", "", "{}{}"}) {
    EXPECT_THROW(load(options), ConfigError) << options;
  }
}

}  // namespace noregret
