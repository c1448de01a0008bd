#include "noregret/run/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "noregret/base/rng.h"

namespace noregret {
namespace {

// Share of the k-subsets of n completions, the first c of them right, that hold a right one.
double enumerated_pass_at_k(int n, int c, int k) {
  int num_subsets = 0;
  int num_passed = 0;
  for (int mask = 0; mask < 1 << n; ++mask) {
    if (__builtin_popcount(static_cast<unsigned>(mask)) != k) continue;
    ++num_subsets;
    num_passed += (mask & ((1 << c) - 1)) != 0;
  }
  return static_cast<double>(num_passed) / num_subsets;
}

TEST(PassAtK, EqualsTheEnumerationOfAllSubsets) {
  for (int n = 1; n <= 8; ++n) {
    for (int c = 0; c <= n; ++c) {
      for (int k = 1; k <= n; ++k) {
        EXPECT_NEAR(pass_at_k(n, c, k), enumerated_pass_at_k(n, c, k), 1e-14) << n << c << k;  // f64 rounding
      }
    }
  }
}

TEST(PassAtK, OfOneIsTheShareOfRightOnes) {
  EXPECT_NEAR(pass_at_k(200, 37, 1), 37.0 / 200.0, 1e-14);  // a product of 37 rounded f64 factors
}

TEST(PassAtK, OfAllIsOneWithAnyRightOne) {
  EXPECT_EQ(pass_at_k(8, 0, 8), 0.0);
  EXPECT_EQ(pass_at_k(8, 1, 8), 1.0);
}

TEST(PassAtK, DoesNotOverflow) {
  const double value = pass_at_k(100000, 10, 50000);
  EXPECT_NEAR(value, 1.0 - std::pow(0.5, 10), 1e-5);  // drawing with replacement: 1e-5 apart at this size
}

TEST(PassAtK, RefusesNumbersThatMakeNoSense) {
  EXPECT_THROW(pass_at_k(4, 2, 5), std::logic_error);
  EXPECT_THROW(pass_at_k(4, 2, 0), std::logic_error);
  EXPECT_THROW(pass_at_k(4, 5, 1), std::logic_error);
  EXPECT_THROW(pass_at_k(4, -1, 1), std::logic_error);
}

std::vector<double> coin_flips(uint64_t seed, int count, double chance) {
  Rng rng(seed);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(rng.uniform() < chance ? 1.0 : 0.0);
  return values;
}

TEST(BootstrapMean, IsAFunctionOfTheSeed) {
  const std::vector<double> values = coin_flips(1, 50, 0.4);
  const Interval a = bootstrap_mean(values, 3);
  const Interval b = bootstrap_mean(values, 3);
  const Interval c = bootstrap_mean(values, 4);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_EQ(a.mean, c.mean);
  EXPECT_TRUE(a.low != c.low || a.high != c.high || bootstrap_mean(values, 5).low != a.low);
}

TEST(BootstrapMean, OfEqualValuesIsAPoint) {
  const Interval interval = bootstrap_mean({0.25, 0.25, 0.25}, 1);
  EXPECT_EQ(interval.mean, 0.25);
  EXPECT_EQ(interval.low, 0.25);
  EXPECT_EQ(interval.high, 0.25);
}

TEST(BootstrapMean, OfOneValueIsThatValue) { EXPECT_EQ(bootstrap_mean({0.5}, 1).high, 0.5); }

TEST(BootstrapMean, IsAsWideAsTheStandardErrorSays) {
  const Interval interval = bootstrap_mean(coin_flips(2, 400, 0.5), 1);
  const double error = std::sqrt(interval.mean * (1 - interval.mean) / 400);
  // Normal quantile 1.96; 2,000 resamples place a 2.5 % quantile within 0.07 standard errors (one sigma), values are
  // 0.1 standard errors apart.
  EXPECT_NEAR((interval.high - interval.mean) / error, 1.96, 0.3);
  EXPECT_NEAR((interval.mean - interval.low) / error, 1.96, 0.3);
}

TEST(BootstrapMean, CoversTheTruthInMostSamples) {
  int num_covered = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Interval interval = bootstrap_mean(coin_flips(1000 + seed, 50, 0.3), seed);
    num_covered += interval.low <= 0.3 && 0.3 <= interval.high;
  }
  // 95 % nominal, a little less at 50 values: 94 of 100 with a standard deviation of 2.4.
  EXPECT_GE(num_covered, 84);
  EXPECT_LE(num_covered, 99);
}

// Wilson's formula worked out by hand for 0, 50 and 100 of 100.
TEST(MeanInterval, OfRightAndWrongIsWilsons) {
  std::vector<double> values(100, 0.0);
  EXPECT_NEAR(mean_interval(values, 1).low, 0.0, 1e-15);
  EXPECT_NEAR(mean_interval(values, 1).high, 0.036994, 1e-6);
  std::fill(values.begin(), values.begin() + 50, 1.0);
  EXPECT_NEAR(mean_interval(values, 1).low, 0.403832, 1e-6);
  EXPECT_NEAR(mean_interval(values, 1).high, 0.596168, 1e-6);
  EXPECT_EQ(mean_interval(values, 1).mean, 0.5);
  std::fill(values.begin(), values.end(), 1.0);
  EXPECT_NEAR(mean_interval(values, 1).low, 0.963006, 1e-6);
  EXPECT_NEAR(mean_interval(values, 1).high, 1.0, 1e-12);
}

TEST(MeanInterval, OfSharesIsTheBootstraps) {
  const std::vector<double> values = {0.0, 0.5, 0.25, 1.0};
  EXPECT_EQ(mean_interval(values, 7).low, bootstrap_mean(values, 7).low);
  EXPECT_EQ(mean_interval(values, 7).high, bootstrap_mean(values, 7).high);
}

TEST(BootstrapMean, RefusesNoValues) { EXPECT_THROW(bootstrap_mean({}, 1), std::logic_error); }

}  // namespace
}  // namespace noregret
