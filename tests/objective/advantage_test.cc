#include "noregret/objective/advantage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "noregret/base/error.h"
#include "tests/objective/objective_support.h"

namespace noregret {
namespace {

using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kRounding = 1e-12;  // f64 sums of a few numbers near 1

std::vector<double> advantages(const std::string& name, const std::vector<double>& rewards) {
  return group_advantages(name, rewards, std::vector<bool>(rewards.size(), true));
}

TEST(GroupAdvantages, CenterSubtractsTheGroupMean) {
  EXPECT_THAT(advantages("center", {1.0, 0.0, 0.0, 1.0}), ElementsAre(0.5, -0.5, -0.5, 0.5));
  EXPECT_THAT(advantages("center", {1.1, 0.1, 0.0}),
              ElementsAre(DoubleNear(0.7, kRounding), DoubleNear(-0.3, kRounding), DoubleNear(-0.4, kRounding)));
}

TEST(GroupAdvantages, RlooSubtractsTheMeanOfTheOthers) {
  const std::vector<double> rewards = {1.0, 0.25, 0.0, 0.5, 1.1};
  const std::vector<double> result = advantages("rloo", rewards);
  const double sum = std::accumulate(rewards.begin(), rewards.end(), 0.0);
  for (size_t i = 0; i < rewards.size(); ++i) EXPECT_NEAR(result[i], rewards[i] - (sum - rewards[i]) / 4.0, kRounding);
}

TEST(GroupAdvantages, RlooIsCenterTimesNOverNMinusOne) {
  const std::vector<double> rewards = {1.0, 0.0, 0.0, 0.5};
  const std::vector<double> center = advantages("center", rewards);
  const std::vector<double> rloo = advantages("rloo", rewards);
  for (size_t i = 0; i < rewards.size(); ++i) EXPECT_NEAR(rloo[i], center[i] * 4.0 / 3.0, kRounding);
}

TEST(GroupAdvantages, GrpoDividesByTheSampleDeviation) {
  // Deviations +-1/2, four of them, divided by n - 1 = 3: std = 1/sqrt(3).
  const double want = 0.5 / (1.0 / std::sqrt(3.0) + 1e-4);
  EXPECT_THAT(advantages("grpo", {1.0, 0.0, 0.0, 1.0}),
              ElementsAre(DoubleNear(want, kRounding), DoubleNear(-want, kRounding), DoubleNear(-want, kRounding),
                          DoubleNear(want, kRounding)));
}

TEST(GroupAdvantages, GrpoHardlyDependsOnTheRewardsScale) {
  // 1e-4 beside a deviation of 0.58 or 5.8.
  const std::vector<double> small = advantages("grpo", {1.0, 0.0, 0.0, 1.0});
  const std::vector<double> large = advantages("grpo", {10.0, 0.0, 0.0, 10.0});
  for (size_t i = 0; i < small.size(); ++i) EXPECT_NEAR(small[i], large[i], 2e-4);
}

TEST(GroupAdvantages, EqualRewardsGiveExactlyZero) {
  // 0.1 summed n times and divided by n is not 0.1 for many n; a group without differences must still drop out.
  for (const char* name : {"center", "rloo", "grpo"}) {
    for (const double reward : {0.1, 1.1, 1.0 / 3.0, -7.3e5, 0.0}) {
      for (const size_t size : {2, 3, 6, 7, 8, 10, 33}) {
        EXPECT_THAT(advantages(name, std::vector<double>(size, reward)), Each(0.0))
            << name << " " << reward << " " << size;
      }
    }
  }
}

TEST(GroupAdvantages, SumToZero) {
  for (const char* name : {"center", "rloo", "grpo"}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const std::vector<double> result = advantages(name, random_values(8, -1.0, 2.0, seed));
      EXPECT_NEAR(std::accumulate(result.begin(), result.end(), 0.0), 0.0, kRounding) << name;
    }
  }
}

TEST(GroupAdvantages, AShiftOfAllRewardsChangesNothing) {
  const std::vector<double> a = advantages("center", {1.0, 0.0, 0.5});
  const std::vector<double> b = advantages("center", {101.0, 100.0, 100.5});
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], kRounding);
}

TEST(GroupAdvantages, AFailedRewardTakesNoPart) {
  const std::vector<double> rewards = {1.0, kNaN, 0.0, 1e9, 0.5};
  const std::vector<bool> is_valid = {true, false, true, false, true};
  EXPECT_THAT(group_advantages("center", rewards, is_valid), ElementsAre(0.5, 0.0, -0.5, 0.0, 0.0));
  EXPECT_THAT(group_advantages("rloo", rewards, is_valid), ElementsAre(0.75, 0.0, -0.75, 0.0, 0.0));
}

TEST(GroupAdvantages, FewerThanTwoValidRewardsGiveZero) {
  for (const char* name : {"center", "rloo", "grpo"}) {
    EXPECT_THAT(group_advantages(name, std::vector<double>{1.0, kNaN}, {true, false}), ElementsAre(0.0, 0.0));
    EXPECT_THAT(group_advantages(name, std::vector<double>{1.0, 2.0}, {false, false}), ElementsAre(0.0, 0.0));
    EXPECT_THAT(advantages(name, {3.0}), ElementsAre(0.0));
    EXPECT_THAT(advantages(name, {}), IsEmpty());
  }
}

TEST(GroupAdvantages, AnUnknownNameIsAnErrorWithTheNearestOne) {
  EXPECT_THAT(error_of<ConfigError>([] {
                advantages("centre", {1.0, 0.0});
              }),
              testing::AllOf(HasSubstr("objective.advantage is 'centre'"), HasSubstr("did you mean 'center'")));
  EXPECT_THAT(error_of<ConfigError>([] { advantages("gae", {1.0}); }), HasSubstr("want one of center rloo grpo"));
}

TEST(GroupAdvantages, AValidRewardThatIsNotFiniteIsABug) {
  EXPECT_THROW(advantages("center", {1.0, kNaN}), std::logic_error);
  EXPECT_THROW(advantages("center", {1.0, std::numeric_limits<double>::infinity()}), std::logic_error);
}

TEST(GroupAdvantages, WantsOneFlagAReward) {
  EXPECT_THROW(group_advantages("center", std::vector<double>{1.0, 0.0}, {true}), std::logic_error);
}

TEST(BitsBound, IsOneBitACompletionAtEvenOdds) { EXPECT_DOUBLE_EQ(bits_bound(0.5, 8), 8.0); }

TEST(BitsBound, UniformGroupsAddNothing) {
  EXPECT_EQ(bits_bound(0.0, 8), 0.0);
  EXPECT_EQ(bits_bound(1.0, 8), 0.0);
  EXPECT_EQ(bits_bound(0.5, 0), 0.0);
}

TEST(BitsBound, MatchesHandComputedEntropy) {
  // H2(1/4) = 1/4 * 2 + 3/4 * (2 - log2 3)
  EXPECT_NEAR(bits_bound(0.25, 4), 4.0 * (0.5 + 0.75 * (2.0 - std::log2(3.0))), kRounding);
  EXPECT_NEAR(bits_bound(0.125, 8), bits_bound(0.875, 8), kRounding);
}

TEST(BitsBound, RefusesWhatIsNoShare) {
  EXPECT_THROW(bits_bound(1.01, 8), std::logic_error);
  EXPECT_THROW(bits_bound(-0.01, 8), std::logic_error);
  EXPECT_THROW(bits_bound(kNaN, 8), std::logic_error);
  EXPECT_THROW(bits_bound(0.5, -1), std::logic_error);
}

}  // namespace
}  // namespace noregret
