#include "noregret/base/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "base_support.h"
#include "noregret/base/clock.h"
#include "noregret/base/error.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

TEST(Check, PassesWithoutAWord) { EXPECT_NO_THROW(NOREGRET_CHECK(1 + 1 == 2, "arithmetic")); }

TEST(Check, NamesPlaceExpressionAndValues) {
  const int left = 3;
  EXPECT_THAT(error_of<std::logic_error>([&] { NOREGRET_CHECK(left == 4, "left is ", left, ", want ", 4); }),
              AllOf(HasSubstr("check_test.cc:"), HasSubstr("left == 4"), EndsWith("left is 3, want 4")));
}

TEST(Check, NeedsNoMessage) {
  EXPECT_THAT(error_of<std::logic_error>([] { NOREGRET_CHECK(false); }), EndsWith("false does not hold"));
}

TEST(Check, IsNotAnErrorOfTheUser) {
  bool is_user_error = false;
  try {
    NOREGRET_CHECK(false);
  } catch (const Error&) {
    is_user_error = true;
  } catch (const std::logic_error&) {
  }
  EXPECT_FALSE(is_user_error);
}

template <class E>
int code_of() {
  return static_cast<int>(E("x").code());
}

// The numbers are sysexits.h's where it has one (64, 65, 70, 74, 75, 78); scripts rely on them.
TEST(ExitCodes, AreThoseThatScriptsRelyOn) {
  EXPECT_EQ(code_of<UsageError>(), 64);
  EXPECT_EQ(code_of<DataError>(), 65);
  EXPECT_EQ(code_of<ShapeError>(), 65);
  EXPECT_EQ(code_of<IoError>(), 74);
  EXPECT_EQ(code_of<LockedError>(), 74);
  EXPECT_EQ(code_of<InterruptedError>(), 75);
  EXPECT_EQ(code_of<DivergedError>(), 76);
  EXPECT_EQ(code_of<RewardFailureError>(), 77);
  EXPECT_EQ(code_of<ConfigError>(), 78);
}

TEST(Stopwatch, NeverGoesBack) {
  const Stopwatch watch;
  double last = 0.0;
  for (int i = 0; i < 1000; ++i) {
    const double now = watch.seconds();
    ASSERT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace noregret
