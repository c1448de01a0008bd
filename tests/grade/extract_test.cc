#include "noregret/grade/extract.h"

#include "tests/grade/grading.h"

namespace noregret {
namespace {

std::string boxed(const std::string& text, bool is_truncated = false, bool gold_is_list = false) {
  const Extraction found = extract_answer(text, {}, is_truncated, gold_is_list);
  return found.is_found ? found.answer : "(none)";
}

std::string lenient(const std::string& text, bool is_truncated = false) {
  const Extraction found = extract_answer(text, lenient_extraction(), is_truncated, false);
  return found.is_found ? found.source + ": " + found.answer : "(none)";
}

TEST(BoxedAnswer, LastCompleteBoxCounts) {
  EXPECT_EQ(boxed("First \\boxed{3}. Wait. \\boxed{4}"), "4");
  EXPECT_EQ(boxed("\\boxed{3} then \\boxed{never closed"), "3");
  EXPECT_EQ(boxed("\\boxed{3} \\fbox{4}"), "4");
  EXPECT_EQ(boxed("no box at all, 17"), "(none)");
}

TEST(BoxedAnswer, BracesMatchAndStrayOnesDoNot) {
  EXPECT_EQ(boxed("\\boxed{\\frac{1}{\\sqrt{2}}}"), "\\frac{1}{\\sqrt{2}}");
  EXPECT_EQ(boxed("} \\boxed{\\{1,2\\}} }"), "\\{1,2\\}");
  EXPECT_EQ(boxed("\\boxed{\\boxed{5}}"), "\\boxed{5}");
}

TEST(BoxedAnswer, SpaceAndBareFormsAreBoxes) {
  EXPECT_EQ(boxed("\\boxed {5}"), "5");
  EXPECT_EQ(boxed("so \\boxed 5."), "5");
  EXPECT_EQ(boxed("\\boxed 2.5 is it"), "2.5");
  EXPECT_EQ(boxed("\\boxedness{5}"), "(none)");
}

TEST(BoxedAnswer, BoxThatIsCutIsNoAnswer) {
  EXPECT_EQ(boxed("\\boxed{4} \\boxed{5", true), "(none)");
  EXPECT_EQ(boxed("\\boxed{5} and the", true), "5");
  EXPECT_EQ(boxed("\\boxed 5", true), "(none)");
}

TEST(BoxedAnswer, NeighboursAreJoinedForAList) {
  EXPECT_EQ(boxed("\\boxed{1} and \\boxed{2}", false, true), "1, 2");
  EXPECT_EQ(boxed("\\boxed{1} and \\boxed{2}", false, false), "2");
  EXPECT_EQ(boxed("\\boxed{1}. Thus, on the other hand, \\boxed{2} or \\boxed{3}", false, true), "2, 3");
  EXPECT_EQ(boxed("$\\boxed{1}$ \\quad \\text{and} \\quad $\\boxed{2}$", false, true), "1, 2");
}

TEST(BoxedAnswer, ReasoningIsNotSearched) {
  EXPECT_EQ(boxed("<think>\\boxed{3}</think> It is \\boxed{4}."), "4");
  EXPECT_EQ(boxed("\\boxed{3}</think> none"), "(none)");
  EXPECT_EQ(boxed("<think>\\boxed{3}"), "(none)");
  EXPECT_EQ(boxed("</think>\\boxed{3}<think> more"), "(none)");
}

// A megabyte of each: where a box is read to the end of the text, this takes minutes.
TEST(BoxedAnswer, BoxesWithoutEndAreNone) {
  for (const char* piece : {"\\boxed{", "\\boxed(", "\\boxed{{}"}) {
    std::string text;
    while (text.size() < (size_t{1} << 20)) text += piece;
    EXPECT_EQ(boxed(text + std::string(600, 'x')), "(none)") << piece;
  }
}

TEST(LenientExtraction, TakesWhatFollowsTheWords) {
  EXPECT_EQ(lenient("Long. Answer: 42"), "line: 42");
  EXPECT_EQ(lenient("Answer: 41 was wrong.\nAnswer: 42"), "line: 42");
  EXPECT_EQ(lenient("Therefore the answer is -3. Done."), "line: -3");
  EXPECT_EQ(lenient("**Answer:** 12"), "line: 12");
  EXPECT_EQ(lenient("The answer is 1", true), "(none)");
}

TEST(LenientExtraction, BoxesComeBeforeWords) { EXPECT_EQ(lenient("The answer is 5: \\boxed{6}"), "box: 6"); }

TEST(LenientExtraction, FinalAnswerBehindABoxReplacesIt) {
  EXPECT_EQ(lenient("\\boxed{255}, so 10,455. The final answer is $10,455$. I hope so."), "line: $10,455$");
}

TEST(LenientExtraction, HashMarkIsRead) {
  EXPECT_EQ(lenient("6*7=42\n#### 42\nThis is the result."), "hash: 42");
  EXPECT_EQ(lenient("#### $1,042.00"), "hash: 1042");
}

TEST(LenientExtraction, WholeTextMayBeTheAnswer) {
  EXPECT_EQ(lenient("$x \\in [-2,7]$"), "bare: $x \\in [-2,7]$");
  EXPECT_EQ(lenient("just a number 42"), "(none)");
}

TEST(LenientExtraction, LastFormulaMustBeWorkedOut) {
  EXPECT_EQ(lenient("Therefore $x \\ge 5$ is the solution."), "math: x \\ge 5");
  EXPECT_EQ(lenient("What is $3 \\cdot 7$, I wonder"), "(none)");
}

TEST(LenientExtraction, LastStatementMayBeTheAnswer) {
  EXPECT_EQ(lenient("There are 10 of them, which is 1,042.50."), "math: 1,042.50.");
  EXPECT_EQ(lenient("It is not 5"), "(none)");
  EXPECT_EQ(lenient("What is 3*7"), "(none)");
}

TEST(LenientExtraction, EchoOfAQuestionIsNoAnswer) {
  const GradeOptions options{.deadline_ms = 5000};
  const Grade grade =
      grader().grade_completion("21", "You ask what $3 \\cdot 7$ is.", lenient_extraction(), false, options);
  EXPECT_EQ(grade.verdict, Verdict::kNoAnswer);
}

TEST(GoldAnswer, IsFoundInASolution) {
  EXPECT_EQ(gold_answer("So $x=\\boxed{5}$."), "5");
  EXPECT_EQ(gold_answer("3+4=7\n#### 7"), "7");
  EXPECT_EQ(gold_answer("$\\frac12$"), "$\\frac12$");
}

TEST(BoxedAnswers, AreAllCompleteOnesInOrder) {
  EXPECT_EQ(boxed_answers("\\boxed{1}, \\fbox{ \\frac{1}{2} }, \\boxed 3 and \\boxed{4"),
            (std::vector<std::string>{"1", "\\frac{1}{2}", "3"}));
  EXPECT_EQ(boxed_answers("\\boxed{}"), std::vector<std::string>{""});
  EXPECT_TRUE(boxed_answers("5").empty());
}

TEST(GoldAnswer, UnreadableOnesSayWhy) {
  EXPECT_EQ(why_gold_unreadable("\\boxed{5}"), "");
  EXPECT_NE(why_gold_unreadable(""), "");
  EXPECT_NE(why_gold_unreadable("\\frac{1}{"), "");
}

}  // namespace
}  // namespace noregret
