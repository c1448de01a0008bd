#include "noregret/grade/gsm8k.h"

#include <gtest/gtest.h>

#include <set>

namespace noregret {
namespace {

std::string_view strict_verdict(std::string_view gold, std::string_view completion, bool is_truncated = false) {
  return verdict_name(grade_gsm8k(gold, completion, is_truncated, true).verdict);
}

std::string_view flexible_verdict(std::string_view gold, std::string_view completion, bool is_truncated = false) {
  return verdict_name(grade_gsm8k(gold, completion, is_truncated, false).verdict);
}

TEST(Gsm8kStrict, NumberAfterTheMarkIsTheAnswer) {
  EXPECT_EQ(strict_verdict("8", "5+7=12. 12-4=8.\n#### 8"), "equal");
  EXPECT_EQ(strict_verdict("8", "5+7=12. 12-4=9.\n#### 9"), "not_equal");
}

TEST(Gsm8kStrict, WritingOfTheNumberDoesNotMatter) {
  for (const char* line :
       {"####18", "####   18", "#### $18", "#### 18.00", "#### 18.", "#### **18**", "#### 18%", "#### 18 apples"}) {
    EXPECT_EQ(strict_verdict("18", line), "equal") << line;
  }
}

TEST(Gsm8kStrict, MarkMayStandWithinALine) { EXPECT_EQ(strict_verdict("42", "The answer is #### 42"), "equal"); }

TEST(Gsm8kStrict, LastMarkCounts) {
  EXPECT_EQ(strict_verdict("5", "#### 4\nWait.\n#### 5"), "equal");
  EXPECT_EQ(strict_verdict("4", "#### 4\nWait.\n#### 5"), "not_equal");
  EXPECT_EQ(strict_verdict("4", "#### 4\n#### Check"), "pred_unparsable");
}

TEST(Gsm8kStrict, TextAfterTheAnswerLineDoesNotMatter) {
  EXPECT_EQ(strict_verdict("42", "#### 42\n" + std::string(100000, 'a') + " 7"), "equal");
}

TEST(Gsm8kStrict, NumberOfTheNextLineIsNotTheAnswer) {
  EXPECT_EQ(strict_verdict("42", "####\n42"), "no_answer");
  EXPECT_EQ(strict_verdict("42", "#### Answer\n42"), "pred_unparsable");
}

TEST(Gsm8kStrict, WithoutAMarkThereIsNoAnswer) {
  EXPECT_EQ(strict_verdict("42", "The answer is 42."), "no_answer");
  EXPECT_EQ(strict_verdict("42", "### 42"), "no_answer");
  EXPECT_EQ(strict_verdict("42", ""), "no_answer");
}

TEST(Gsm8kStrict, MarkWithoutANumberIsNoAnswer) {
  EXPECT_EQ(strict_verdict("42", "42\n####"), "no_answer");
  EXPECT_EQ(strict_verdict("42", "42\n####  \n"), "no_answer");
}

TEST(Gsm8kStrict, ExpressionThatBeginsWithTheGoldIsNotPaid) {
  EXPECT_EQ(strict_verdict("10", "#### 10+John's age"), "pred_unparsable");
  EXPECT_EQ(strict_verdict("7", "#### 7/14"), "pred_unparsable");
  EXPECT_EQ(strict_verdict("5", "#### 5 or 6"), "pred_unparsable");
  EXPECT_EQ(strict_verdict("2", "#### 2 million"), "pred_unparsable");
}

TEST(Gsm8kStrict, EndlessDigitsAreOverTheCap) {
  EXPECT_EQ(strict_verdict("3", "#### " + std::string(1000000, '3')), "over_cap");
}

TEST(Gsm8kStrict, CutAnswerLineIsNoAnswer) {
  EXPECT_EQ(strict_verdict("1", "#### 1", true), "no_answer");  // of "#### 18"
  EXPECT_EQ(strict_verdict("18", "#### 18.", true), "no_answer");
  EXPECT_EQ(strict_verdict("18", "#### 18 ", true), "no_answer");
}

TEST(Gsm8kStrict, CutAfterTheAnswerLineDoesNotMatter) {
  EXPECT_EQ(strict_verdict("18", "#### 18\n", true), "equal");
  EXPECT_EQ(strict_verdict("18", "#### 18\nTom has 3", true), "equal");
}

TEST(Gsm8kFlexible, WithoutAMarkTheLastNumberCounts) {
  EXPECT_EQ(flexible_verdict("42", "First 7, then 42 apples."), "equal");
  EXPECT_EQ(flexible_verdict("7", "First 7, then 42 apples."), "not_equal");
}

TEST(Gsm8kFlexible, MarkGoesBeforeLaterNumbers) { EXPECT_EQ(flexible_verdict("18", "#### 18\nCheck: 9*2"), "equal"); }

TEST(Gsm8kFlexible, UnreadableMarkedAnswerIsNotReplaced) {
  EXPECT_EQ(flexible_verdict("14", "#### 7/14"), "pred_unparsable");
}

TEST(Gsm8kFlexible, CutNumberIsNoAnswer) {
  EXPECT_EQ(flexible_verdict("1", "The answer is 1", true), "no_answer");
  EXPECT_EQ(flexible_verdict("1", "The answer is 1.", true), "no_answer");
  EXPECT_EQ(flexible_verdict("18", "The answer is 18 app", true), "equal");
}

TEST(Gsm8kGold, MayBeANumberASolutionOrABox) {
  for (const char* gold : {"1072", "1,072", "1072.0", "$1072", "\\boxed{1072}", "Work.\n#### 1,072", "#### 1072"}) {
    EXPECT_EQ(strict_verdict(gold, "#### 1072"), "equal") << gold;
  }
}

TEST(Gsm8kGold, OtherGoldsAreNeverAVerdictOnThePrediction) {
  for (const char* gold : {"", "  ", "eighteen", "18 or 19", "####", "#### x", "3/4"}) {
    EXPECT_EQ(strict_verdict(gold, "#### 18"), "gold_unparsable") << gold;
    EXPECT_EQ(strict_verdict(gold, gold), "gold_unparsable") << gold;
  }
}

TEST(Gsm8kGrade, TellsWhatItRead) {
  const Gsm8kGrade marked = grade_gsm8k("18", "#### $18.00", false, true);
  EXPECT_EQ(marked.answer, "18");
  EXPECT_TRUE(marked.is_marked);
  const Gsm8kGrade plain = grade_gsm8k("18", "It is 17.50.", false, false);
  EXPECT_EQ(plain.answer, "17.5");
  EXPECT_FALSE(plain.is_marked);
  EXPECT_EQ(grade_gsm8k("18", "#### x", false, true).answer, "");
}

TEST(AnswerLine, IsTheLastAndOnlyOne) {
  EXPECT_TRUE(ends_in_answer_line("5+7=12.\n#### 12", false));
  EXPECT_TRUE(ends_in_answer_line("#### 12", false));
  EXPECT_TRUE(ends_in_answer_line("5+7=12.\n#### 12\n \n", false));
  EXPECT_FALSE(ends_in_answer_line("#### 12\n#### 12", false));
  EXPECT_FALSE(ends_in_answer_line("#### 12\nDone.", false));
  EXPECT_FALSE(ends_in_answer_line("The answer is #### 12", false));
  EXPECT_FALSE(ends_in_answer_line("12", false));
  EXPECT_FALSE(ends_in_answer_line("", false));
}

TEST(AnswerLine, HoldsAPlainNumber) {
  for (const char* line : {"#### 12", "#### -12", "#### 1,234", "#### 1,234.50"})
    EXPECT_TRUE(ends_in_answer_line(line, false)) << line;
  for (const char* line :
       {"#### $12", "#### 12.", "#### 12 apples", "#### **12**", "#### +12", "#### .5", "####12", "####  12",
        "##### 12", "#### ", "####", "#### 1,23", "#### 1-2", "#### -", "#### 1.2.3", " #### 12"}) {
    EXPECT_FALSE(ends_in_answer_line(line, false)) << line;
  }
}

TEST(AnswerLine, CutLineDoesNotCount) {
  EXPECT_FALSE(ends_in_answer_line("#### 1", true));
  EXPECT_FALSE(ends_in_answer_line("#### 1 ", true));
  EXPECT_TRUE(ends_in_answer_line("#### 1\n", true));
}

TEST(VerdictName, TellsVerdictsApart) {
  std::set<std::string_view> names;
  for (const Verdict verdict : {Verdict::kEqual, Verdict::kNotEqual, Verdict::kNoAnswer, Verdict::kPredUnparsable,
                                Verdict::kOverCap, Verdict::kGoldUnparsable}) {
    names.insert(verdict_name(verdict));
  }
  EXPECT_EQ(names.size(), 6u);
  EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace noregret
