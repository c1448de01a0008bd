#include <gtest/gtest.h>

#include "noregret/grade/gsm8k.h"

namespace noregret {
namespace {

using Status = NumberText::Status;

std::string last(std::string_view text) {
  const NumberText number = last_number(text, false);
  if (number.status == Status::kOk) return number.canonical;
  return number.status == Status::kMissing ? "missing" : number.status == Status::kOverCap ? "over cap" : "unparsable";
}

TEST(LastNumber, IsFoundInRunningText) {
  EXPECT_EQ(last("He had 5, now he has 12 apples left."), "12");
  EXPECT_EQ(last("So 9 + 9 = 18."), "18");
  EXPECT_EQ(last("Total: $1,234.50, all told"), "1234.5");
  EXPECT_EQ(last("The answer is **18**."), "18");
  EXPECT_EQ(last("Answer:18, of course"), "18");
  EXPECT_EQ(last("18\n\nDone!"), "18");
}

TEST(LastNumber, StopsAroundItAreLeftOut) {
  EXPECT_EQ(last("is...18..."), "18");
  EXPECT_EQ(last("is .5"), "0.5");
  EXPECT_EQ(last("18,"), "18");
}

TEST(LastNumber, SignIsKept) {
  EXPECT_EQ(last("The answer is -5."), "-5");
  EXPECT_EQ(last("x = -5"), "-5");
  EXPECT_EQ(last("(-5)"), "-5");
  EXPECT_EQ(last("-$5"), "-5");
  EXPECT_EQ(last("$-5"), "-5");
  EXPECT_EQ(last("is \xE2\x88\x92"
                 "5"),
            "-5");
}

TEST(LastNumber, BulletIsNoSign) {
  EXPECT_EQ(last("Result:\n- 5 apples"), "5");
  EXPECT_EQ(last("Result:\n* 5 apples"), "5");
}

TEST(LastNumber, PartOfAnExpressionIsNotGuessed) {
  for (const char* text : {"10-5",
                           "10 - 5",
                           "10 -5",
                           "x-5",
                           "10+5",
                           "2*9",
                           "2 * 9",
                           "2**9",
                           "7/14",
                           "7 / 14",
                           "2^9",
                           "(10^6)!",
                           "2(9)",
                           "\\sqrt{2}",
                           "x_2",
                           "6!",
                           "9x",
                           "9/x",
                           "9 * x",
                           "9 + x",
                           "2\xC3\x97"
                           "9",
                           "2 \xC3\x97 9",
                           "> 9",
                           "~9"}) {
    EXPECT_EQ(last(text), "unparsable") << text;
  }
}

TEST(LastNumber, PartOfAWordIsNotGuessed) {
  for (const char* text : {"CO2", "step2", "answer18", "B-12", "5k", "5 million", "5 M", "12:30", "1,2,3", "1.2.3"}) {
    EXPECT_EQ(last(text), "unparsable") << text;
  }
}

TEST(LastNumber, BoxIsOpened) {
  EXPECT_EQ(last("So \\boxed{18}."), "18");
  EXPECT_EQ(last("So \\boxed{-18}."), "-18");
  EXPECT_EQ(last("So $\\boxed{\\$18}$"), "18");
  EXPECT_EQ(last("So \\boxed{18 + x}"), "unparsable");
}

TEST(LastNumber, MissingWhereThereAreNoDigits) {
  EXPECT_EQ(last(""), "missing");
  EXPECT_EQ(last("no digits, at all."), "missing");
}

TEST(LastNumber, EndlessDigitsAreOverTheCap) { EXPECT_EQ(last(std::string(2000000, '3')), "over cap"); }

TEST(LastNumber, LinesBeforeAndAfterDoNotJoin) {
  EXPECT_EQ(last("10 -\n5"), "5");
  EXPECT_EQ(last("5\n/ x"), "5");
  EXPECT_EQ(last("5\nmillion"), "5");
}

}  // namespace
}  // namespace noregret
