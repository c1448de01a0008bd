#include "noregret/base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>

namespace noregret {
namespace {

using testing::EndsWith;

TEST(DurationText, HasSecondsMinutesAndHours) {
  EXPECT_EQ(duration_text(0.0), "0.0s");
  EXPECT_EQ(duration_text(5.2), "5.2s");
  EXPECT_EQ(duration_text(125.0), "2m 05s");
  EXPECT_EQ(duration_text(3725.0), "1h 02m 05s");
  EXPECT_EQ(duration_text(100 * 3600.0), "100h 00m 00s");
}

TEST(DurationText, CarriesWhenRounding) {
  EXPECT_EQ(duration_text(59.94), "59.9s");
  EXPECT_EQ(duration_text(59.96), "1m 00s");
  EXPECT_EQ(duration_text(119.6), "2m 00s");
  EXPECT_EQ(duration_text(3599.6), "1h 00m 00s");
}

TEST(DurationText, StandsWhateverItIsGiven) {
  EXPECT_EQ(duration_text(-1.0), "0.0s");
  EXPECT_EQ(duration_text(std::nan("")), "unknown");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::infinity()), "1000000h 00m 00s");
}

TEST(Eta, SaysNothingBeforeAPaceIsKnown) {
  Eta eta;
  EXPECT_EQ(eta.update(0, 10), "");
  EXPECT_EQ(eta.update(0, 10), "");  // nothing done since
}

TEST(Eta, TimeLeftIsThePaceTimesWhatIsLeft) {
  Eta eta;
  eta.update(3, 10);
  const Stopwatch watch;
  while (watch.seconds() < 0.1) {  // a pace needs time to pass
  }
  const std::string text = eta.update(5, 10);
  double each = 0.0;
  double left = 0.0;
  ASSERT_EQ(std::sscanf(text.c_str(), "%lfs each, %lfs left", &each, &left), 2) << text;
  EXPECT_GE(each, 0.05);               // 0.1 s for two
  EXPECT_NEAR(left, 5 * each, 0.055);  // printed to 0.1 s; each to 3 digits
}

TEST(Eta, NothingIsLeftAtTheEnd) {
  Eta eta;
  eta.update(0, 10);
  EXPECT_THAT(eta.update(10, 10), EndsWith("each, 0.0s left"));
}

}  // namespace
}  // namespace noregret
