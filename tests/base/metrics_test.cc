#include "noregret/base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "base_support.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(Metrics, KeepsTheOrderInWhichNamesWereFirstSet) {
  Metrics metrics;
  metrics.set("reward/mean", 0.5);
  metrics.set("loss/value", 2.0);
  metrics.set("reward/mean", 0.75);
  EXPECT_THAT(metrics.items(), ElementsAre(Pair("reward/mean", 0.75), Pair("loss/value", 2.0)));
}

TEST(Metrics, MergeReplacesAndAppends) {
  Metrics a;
  a.set("x/a", 1.0);
  Metrics b;
  b.set("x/b", 2.0);
  b.set("x/a", 3.0);
  a.merge(b);
  EXPECT_THAT(a.items(), ElementsAre(Pair("x/a", 3.0), Pair("x/b", 2.0)));
}

TEST(Metrics, GettingAnAbsentNameIsABugThatNamesIt) {
  const Metrics metrics;
  EXPECT_FALSE(metrics.has("x/a"));
  EXPECT_THAT(error_of<std::logic_error>([&] { metrics.get("x/a"); }), HasSubstr("no metric 'x/a'"));
}

TEST(MetricSums, MeanDividesTheSumsOfAllMicrobatches) {
  MetricSums sums;
  sums.add("policy/entropy", 3.0, 2.0);
  sums.add("policy/entropy", 5.0, 6.0);
  EXPECT_DOUBLE_EQ(sums.finish().get("policy/entropy"), 1.0);  // 8 / 8, not the mean of 1.5 and 0.83
}

TEST(MetricSums, MeanOfNothingIsLeftOutNotZero) {
  MetricSums sums;
  sums.add("policy/kl", 0.0, 0.0);
  sums.add_total("loss/tokens", 4.0);
  EXPECT_THAT(sums.finish().items(), ElementsAre(Pair("loss/tokens", 4.0)));
}

TEST(MetricSums, TotalsAddAndMaximaStay) {
  MetricSums sums;
  for (const double value : {-3.0, -1.0, -2.0}) {
    sums.add_total("a/total", value);
    sums.add_max("a/max", value);
  }
  EXPECT_THAT(sums.finish().items(), ElementsAre(Pair("a/total", -6.0), Pair("a/max", -1.0)));
}

TEST(MetricSums, NotANumberIsNotHiddenByAMaximum) {
  MetricSums sums;
  for (const double value : {1.0, std::nan(""), 2.0}) sums.add_max("a/max", value);
  EXPECT_TRUE(std::isnan(sums.finish().get("a/max")));
}

TEST(MetricSums, MergeEqualsAddingEverythingToOne) {
  MetricSums one;
  MetricSums a;
  MetricSums b;
  for (MetricSums* sums : {&one, &a}) {
    sums->add("m/mean", 1.0, 3.0);
    sums->add_max("m/max", 7.0);
  }
  for (MetricSums* sums : {&one, &b}) {
    sums->add("m/mean", 4.0, 2.0);
    sums->add_total("m/total", 5.0);
    sums->add_max("m/max", 6.0);
  }
  a.merge(b);
  EXPECT_EQ(a.finish().items(), one.finish().items());
}

TEST(MetricSums, MergeWithItselfDoubles) {
  MetricSums sums;
  sums.add_total("m/total", 5.0);
  sums.merge(sums);
  EXPECT_EQ(sums.finish().get("m/total"), 10.0);
}

TEST(MetricSums, OneNameInTwoWaysIsABug) {
  MetricSums sums;
  sums.add("m/x", 1.0, 1.0);
  EXPECT_THAT(error_of<std::logic_error>([&] { sums.add_total("m/x", 1.0); }), HasSubstr("'m/x'"));
}

}  // namespace
}  // namespace noregret
