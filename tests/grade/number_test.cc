#include "noregret/grade/number.h"

#include <gtest/gtest.h>

namespace noregret {
namespace {

using Status = NumberText::Status;

// The canonical text, or what stands in its way.
std::string read(std::string_view answer) {
  const NumberText number = read_number(answer);
  switch (number.status) {
    case Status::kOk:
      return number.canonical;
    case Status::kMissing:
      return "missing";
    case Status::kUnparsable:
      return "unparsable";
    case Status::kOverCap:
      return "over cap";
  }
  return "?";
}

TEST(ReadNumber, IntegersLoseLeadingZerosAndPlus) {
  EXPECT_EQ(read("18"), "18");
  EXPECT_EQ(read("0018"), "18");
  EXPECT_EQ(read("+18"), "18");
  EXPECT_EQ(read("000"), "0");
}

TEST(ReadNumber, DecimalsLoseTrailingZeros) {
  EXPECT_EQ(read("18.0"), "18");
  EXPECT_EQ(read("18.00"), "18");
  EXPECT_EQ(read("18.50"), "18.5");
  EXPECT_EQ(read(".5"), "0.5");
  EXPECT_EQ(read("00.0500"), "0.05");
}

TEST(ReadNumber, SignIsKept) {
  EXPECT_EQ(read("-3"), "-3");
  EXPECT_EQ(read("-.5"), "-0.5");
  EXPECT_EQ(read("\xE2\x88\x92"
                 "3"),
            "-3");  // U+2212
  EXPECT_NE(read("-3"), read("3"));
}

TEST(ReadNumber, ZeroHasNoSign) {
  EXPECT_EQ(read("-0"), "0");
  EXPECT_EQ(read("-0.00"), "0");
}

TEST(ReadNumber, SignMayStandOnBothSidesOfTheCurrency) {
  EXPECT_EQ(read("-$18"), "-18");
  EXPECT_EQ(read("$-18"), "-18");
}

TEST(ReadNumber, SignApartFromItsNumberIsNotGuessed) {
  EXPECT_EQ(read("- 18"), "unparsable");  // a list item or a difference
  EXPECT_EQ(read("--18"), "unparsable");
}

TEST(ReadNumber, ThousandsAreGroupsOfThree) {
  EXPECT_EQ(read("1,000"), "1000");
  EXPECT_EQ(read("12,345,678.90"), "12345678.9");
  EXPECT_EQ(read("-1,000"), "-1000");
}

TEST(ReadNumber, ThousandsMayBeSetApartInOtherWays) {
  EXPECT_EQ(read("32,\\!760"), "32760");
  EXPECT_EQ(read("14{,}916"), "14916");
  EXPECT_EQ(read("1\\,000"), "1000");
  EXPECT_EQ(read("1 000 000"), "1000000");
  EXPECT_EQ(read("1\xE2\x80\x89"
                 "000"),
            "1000");  // U+2009 thin space
}

TEST(ReadNumber, OtherGroupsAreNoNumber) {
  for (const char* text :
       {"5,6,7", "1,00", "1,0000", "1000,000", "0,500", "1,000 000", ",500", "8{,}88", "12,34,567"}) {
    EXPECT_EQ(read(text), "unparsable") << text;
  }
}

TEST(ReadNumber, PointIsNeverAThousandsSeparator) {
  EXPECT_EQ(read("2.000"), "2");
  EXPECT_EQ(read("1.000.000"), "unparsable");
}

TEST(ReadNumber, CommaIsNeverADecimalPoint) { EXPECT_EQ(read("3,5"), "unparsable"); }

TEST(ReadNumber, MoneyPercentAndDegreesAreLeftOut) {
  for (const char* text : {"$18", "\\$18", "18$", "18 $", "$18$", "18%", "18 %", "18\\%", "18\xC2\xB0",
                           "\xE2\x82\xAC"
                           "18"}) {
    EXPECT_EQ(read(text), "18") << text;
  }
}

TEST(ReadNumber, PercentIsNotAHundredth) { EXPECT_NE(read("25%"), read("0.25")); }

TEST(ReadNumber, MarkupAndFinalStopsAreLeftOut) {
  for (const char* text :
       {"**18**", "*18*", "`18`", "\"18\"", "18.", "18,", ": 18", "\\(18\\)", "  18\t", "**$18.00.**", "18\r"}) {
    EXPECT_EQ(read(text), "18") << text;
  }
}

TEST(ReadNumber, BoxIsOpened) {
  EXPECT_EQ(read("\\boxed{72}"), "72");
  EXPECT_EQ(read("$\\boxed{-1,072.50}$."), "-1072.5");
  EXPECT_EQ(read("\\boxed{72 apples}"), "72");
}

TEST(ReadNumber, UnclosedBoxIsNoNumber) {
  EXPECT_EQ(read("\\boxed{72"), "unparsable");
  EXPECT_EQ(read("72}"), "unparsable");
  EXPECT_EQ(read("\\boxed{\\boxed{72}}"), "unparsable");
}

TEST(ReadNumber, UnitsMayFollow) {
  for (const char* text :
       {"18 apples", "18kg", "18 square feet", "18 miles/hour", "18 foot-long ropes", "18 dollars."}) {
    EXPECT_EQ(read(text), "18") << text;
  }
}

TEST(ReadNumber, WordsThatChangeTheValueAreNoUnits) {
  for (const char* text : {"2 million", "2 Thousand", "2 dozen eggs", "5 or six", "5 and a bit", "3 half", "5 squared",
                           "2 pi", "5 point five", "2 times x", "5 apples or pears", "-1.8 billion"}) {
    EXPECT_EQ(read(text), "unparsable") << text;
  }
}

TEST(ReadNumber, SingleLettersAreNoUnits) {
  for (const char* text : {"5k", "5 M", "2x", "5 x/y", "1e5", "0x1F", "3 apples-x"})
    EXPECT_EQ(read(text), "unparsable") << text;
}

TEST(ReadNumber, SecondNumberIsNotPassedOver) {
  for (const char* text :
       {"5 or 6", "7/14", "4 10/3", "1 1/4", "5 6", "12:30", "18 dollars and 50 cents", "(1,2)", "5, 6"}) {
    EXPECT_EQ(read(text), "unparsable") << text;
  }
}

TEST(ReadNumber, ExpressionsAreNotWorkedOut) {
  for (const char* text : {"10+8", "10 + 8 = 18", "10+John's age", "2*9", "2^4", "5!", "\\sqrt{4}", "x = 18",
                           "2 \\times 9", "-(-18)", "__import__(\"os\").getpid()"}) {
    EXPECT_EQ(read(text), "unparsable") << text;
  }
}

TEST(ReadNumber, ComparisonsAreNoNumbers) {
  for (const char* text :
       {"< 18", "> 18", "~18", "\xE2\x89\x88 18", "\\approx 18", "about 18", "18+", "not 18", "minus 18"}) {
    EXPECT_EQ(read(text), "unparsable") << text;
  }
}

TEST(ReadNumber, BracketsAreNoDecoration) {
  for (const char* text : {"(18)", "[18]", "{18}", "(12,345)", "\\{5,6\\}"})
    EXPECT_EQ(read(text), "unparsable") << text;
}

TEST(ReadNumber, WordsAndSignsAloneAreUnparsable) {
  for (const char* text : {"apples", "nan", "inf", "-", "$", ".", ",", "#", "\\boxed{}"})
    EXPECT_EQ(read(text), "unparsable") << text;
}

TEST(ReadNumber, EmptyTextIsMissing) {
  EXPECT_EQ(read(""), "missing");
  EXPECT_EQ(read(" \t\r\n"), "missing");
}

TEST(ReadNumber, DigitsBeyondADoubleAreCompared) {
  EXPECT_NE(read("123456789012345678901234567890"), read("123456789012345678901234567891"));
  EXPECT_NE(read("0.30000000000000000001"), read("0.3"));
  EXPECT_EQ(read("4.99999999999"), "4.99999999999");
}

TEST(ReadNumber, CapIsOnBytesOfTheAnswer) {
  EXPECT_EQ(read(std::string(kMaxAnswerBytes, '7')), std::string(kMaxAnswerBytes, '7'));
  EXPECT_EQ(read(std::string(kMaxAnswerBytes + 1, '7')), "over cap");
  EXPECT_EQ(read("18 " + std::string(kMaxAnswerBytes, 'a')), "over cap");
}

TEST(ReadNumber, OtherBytesAreNoNumber) {
  EXPECT_EQ(read("\xFF\xFE"), "unparsable");
  EXPECT_EQ(read("18\xFF"), "unparsable");
  EXPECT_EQ(read(std::string("18\0", 3)), "unparsable");
  EXPECT_EQ(read("\xD9\xA1\xD9\xA8"), "unparsable");  // Arabic-Indic digits
}

}  // namespace
}  // namespace noregret
