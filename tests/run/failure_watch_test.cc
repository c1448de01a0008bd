#include "run/failure_watch.h"

#include <gtest/gtest.h>

namespace noregret {
namespace {

TEST(FailureWatch, ShareOfTheWindowMayFail) {
  FailureWatch watch(0.2, 50);
  for (int step = 0; step < 200; ++step) {
    watch.add(2, 10);
    EXPECT_FALSE(watch.is_passed()) << step;
  }
}

TEST(FailureWatch, MoreThanTheShareMayNot) {
  FailureWatch watch(0.2, 50);
  for (int step = 0; step < 50; ++step) watch.add(2, 10);
  watch.add(3, 10);
  EXPECT_TRUE(watch.is_passed());
}

TEST(FailureWatch, TellsAsSoonAsItIsSure) {
  FailureWatch watch(0.2, 50);
  int step = 0;
  for (; !watch.is_passed(); ++step) watch.add(10, 10);
  EXPECT_EQ(step, 11);  // 10 of 50 steps are 20 %
}

TEST(FailureWatch, OldFailuresAreForgotten) {
  FailureWatch watch(0.2, 5);
  watch.add(10, 10);
  for (int step = 0; step < 4; ++step) watch.add(0, 10);
  EXPECT_EQ(watch.num_failed(), 10);
  watch.add(0, 10);
  EXPECT_EQ(watch.num_failed(), 0);
}

TEST(FailureWatch, ShareOneAllowsAll) {
  FailureWatch watch(1.0, 3);
  for (int step = 0; step < 5; ++step) watch.add(10, 10);
  EXPECT_FALSE(watch.is_passed());
}

TEST(FailureWatch, ShareZeroAllowsNone) {
  FailureWatch watch(0.0, 50);
  watch.add(0, 10);
  EXPECT_FALSE(watch.is_passed());
  watch.add(1, 10);
  EXPECT_TRUE(watch.is_passed());
}

TEST(FailureWatch, StateGoesOn) {
  FailureWatch first(0.2, 5);
  for (int step = 0; step < 3; ++step) first.add(3, 10);
  FailureWatch second(0.2, 5);
  second.restore(first.state());
  EXPECT_FALSE(second.is_passed());
  second.add(2, 10);
  EXPECT_TRUE(second.is_passed());
  EXPECT_EQ(second.num_failed(), 11);
}

}  // namespace
}  // namespace noregret
