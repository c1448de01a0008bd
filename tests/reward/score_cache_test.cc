#include "reward/score_cache.h"

#include <gtest/gtest.h>

#include "tests/reward/reward_support.h"

namespace noregret {
namespace {

using reward_support::item;

// Gives the number of the item among all that it was asked for; fails the ones that say so.
class Counting final : public Scorer {
 public:
  explicit Counting(int* count) : count_(count) {}
  const std::string& name() const override { return name_; }
  double min_reward() const override { return 0.0; }
  double max_reward() const override { return 1e9; }
  bool is_deterministic() const override { return true; }
  const std::string& digest() const override { return name_; }
  std::vector<ComponentScore> score(std::span<const ScoreItem> items, const CancelFlag*) override {
    std::vector<ComponentScore> scores;
    for (const ScoreItem& one : items) {
      ++*count_;
      if (one.completion == "fails") {
        scores.push_back(failed_score(FailureKind::kTimeout, "late"));
      } else {
        scores.push_back(ComponentScore{ScoreStatus::kOk, static_cast<double>(*count_), "", {}, FailureKind::kNone});
      }
    }
    return scores;
  }

 private:
  int* count_;
  std::string name_ = "counting";
};

class ScoreCache : public testing::Test {
 protected:
  std::vector<double> scores(CachedScorer& cache, const std::vector<ScoreItem>& items) {
    std::vector<double> result;
    for (const ComponentScore& score : cache.score(items, nullptr)) result.push_back(score.score);
    return result;
  }
  CachedScorer cache(size_t max_entries = 100) {
    return CachedScorer(std::make_unique<Counting>(&num_asked_), max_entries);
  }
  int num_asked_ = 0;
};

TEST_F(ScoreCache, SameItemIsAskedForOnce) {
  CachedScorer cache = this->cache();
  EXPECT_EQ(scores(cache, {item("a"), item("b"), item("a")}), (std::vector<double>{1, 2, 1}));
  EXPECT_EQ(scores(cache, {item("b"), item("c"), item("a")}), (std::vector<double>{2, 3, 1}));
  EXPECT_EQ(num_asked_, 3);
}

TEST_F(ScoreCache, IdIsNoPartOfTheItem) {
  CachedScorer cache = this->cache();
  ScoreItem other = item("a");
  other.id = "another";
  EXPECT_EQ(scores(cache, {item("a"), other}), (std::vector<double>{1, 1}));
}

TEST_F(ScoreCache, EveryOtherTextIs) {
  CachedScorer cache = this->cache();
  std::vector<ScoreItem> items(6, item("a"));
  items[1].prompt = "x";
  items[2].completion = "x";
  items[3].reference = "x";
  items[4].metadata_json = "x";
  items[5].finish_reason = "x";
  EXPECT_EQ(scores(cache, items), (std::vector<double>{1, 2, 3, 4, 5, 6}));
}

TEST_F(ScoreCache, TextsDoNotRunIntoOneAnother) {
  CachedScorer cache = this->cache();
  ScoreItem first = item("ab", "c");
  ScoreItem second = item("a", "bc");
  EXPECT_EQ(scores(cache, {first, second}), (std::vector<double>{1, 2}));
}

TEST_F(ScoreCache, FailuresAreAskedForAgain) {
  CachedScorer cache = this->cache();
  for (int i = 0; i < 3; ++i) {
    const ScoreItem one = item("fails");
    EXPECT_EQ(cache.score({&one, 1}, nullptr).at(0).kind, FailureKind::kTimeout);
  }
  EXPECT_EQ(num_asked_, 3);
}

TEST_F(ScoreCache, LeastUsedIsForgotten) {
  CachedScorer cache = this->cache(2);
  scores(cache, {item("a")});
  scores(cache, {item("b")});
  scores(cache, {item("a")});
  scores(cache, {item("c")});  // b goes
  EXPECT_EQ(scores(cache, {item("a")}), (std::vector<double>{1}));
  EXPECT_EQ(scores(cache, {item("b")}), (std::vector<double>{4}));
}

}  // namespace
}  // namespace noregret
