// Answers that other graders have paid for, and their kin. The families: docs of each test.
#include "tests/grade/grading.h"

namespace noregret {
namespace {

TEST(RejectedAnswers, CommasDoNotMakeOneNumberOfMany) {
  expect_rejected({{"23,456", "(23,456)"},
                   {"789", "7,8,9"},
                   {"9,14", "9{,}140"},
                   {"70", "70{,}700{,}707"},
                   {"\\$6.25", "\\$625"},
                   {"20{,}000", "20.00"},
                   {"3,000", "3.000"},
                   {"32451", "\\boxed{32, 451}"}});
}

TEST(RejectedAnswers, NearIsNotEqual) {
  expect_rejected({{"7", "6.99999999999"},
                   {"300000", "300001"},
                   {"987654321", "987654320"},
                   {"1", "1.00002"},
                   {"\\frac{2}{7}", "0.2857"},
                   {"1/6", "0.166667"},
                   {"\\sqrt{3}", "1.732"},
                   {"3\\pi", "9.42"}});
}

TEST(RejectedAnswers, HundredTimesIsNotEqual) {
  expect_rejected({{"7", "700"}, {"0.7", "70"}, {"70", "0.7"}, {"7\\%", "0.07"}, {"0.07", "7\\%"}});
}

TEST(RejectedAnswers, SmallAndLargeNumbersDoNotVanish) {
  expect_rejected({{"\\frac{1}{3^{97}}", "\\frac{1}{3^{96}}"},
                   {"\\frac{1}{1803!}", "\\frac{1}{1805!}"},
                   {"1803!", "1805!"},
                   {"3^{3127}", "3^{3900}"},
                   {"\\frac{2^{1805}+1}{5\\cdot 2^{1806}}", "\\frac{1}{5\\cdot 2^{1806}}"}});
}

TEST(RejectedAnswers, BracesAreNoDecoration) {
  expect_rejected(
      {{"-\\frac{13}{4}", "-\\frac{1}{34}"}, {"\\frac{15}{8}", "\\frac{1}{58}"}, {"\\frac{17}{3}", "\\frac{1}{73}"}});
}

TEST(RejectedAnswers, MixedNumbersAreOneNumber) {
  expect_rejected({{"-\\frac13", "-2\\frac13"},
                   {"3", "3 1/4"},
                   {"7", "2 7/3"},
                   {"\\frac{21}{2}", "2\\frac12"},
                   {"\\frac{5}{2}", "1 3/2"}});
}

TEST(RejectedAnswers, BracketsMatter) {
  expect_rejected({{"(2,9)", "[2,9)"},
                   {"(2,9)", "\\{2,9\\}"},
                   {"(0,2)", "(0,2.5)"},
                   {"(2,9)", "(9,2)"},
                   {"(1,2,3)", "(1,2)"},
                   {"(-\\infty,-3] \\cup [-2,\\infty)", "(-\\infty,-3] \\cup [2,\\infty)"},
                   {"[2,9]", "2,9"}});
}

TEST(RejectedAnswers, ListsHaveTheirLength) {
  expect_rejected({{"-3,1", "-3,1,3"},
                   {"0,5", "0,\\pi,5\\pi"},
                   {"2+\\sqrt3", "2+\\sqrt3, 2-\\sqrt3"},
                   {"75^\\circ", "75^\\circ,75^\\circ"},
                   {"\\pm 1987", "1987"},
                   {"19", "x=19,x=20"},
                   {"\\text{B,D}", "\\text{B,D,E}"},
                   {"3 \\pm \\sqrt{7}", "3+\\sqrt{7}"},
                   {"4,4,5", "4,5,5"}});
}

TEST(RejectedAnswers, BasesMatter) {
  expect_rejected({{"2_6", "2_7"},
                   {"3120_5", "3120_7"},
                   {"742", "742_{12}"},
                   {"50^\\circ", "50_8"},
                   {"7_9", "7\\text{ cm}"},
                   {"1011_2", "11"}});
}

TEST(RejectedAnswers, LettersAndWordsAreNoUnits) {
  expect_rejected({{"14\\text{ and }15", "14\\text{ degrees}"},
                   {"7t", "7\\text{ units}"},
                   {"\\text{on}", "no"},
                   {"\\frac25\\text{ or }6", "\\frac25"},
                   {"4 a", "4 b"},
                   {"\\text{even}", "\\text{evens}"},
                   {"3", "3 million"},
                   {"\\text{ellipse}", "\\text{parabola}"}});
}

TEST(RejectedAnswers, EquationsAreMoreThanTheirZero) {
  expect_rejected({{"3x-y+4z-11=0", "3x-y+5z+7=0"},
                   {"x+y+z=0", "x+y-z+2=0"},
                   {"8", "1=2=3=4=8"},
                   {"10:00", "1:00"},
                   {"5", "6=5"},
                   {"y=3x+1", "y=3x-1"},
                   {"2x+z=4", "4"},
                   {"a^2+b=0", "0"},
                   {"3=7a+c", "7a+c"},
                   {"x=5", "y=5"}});
}

TEST(RejectedAnswers, InequalitiesHaveASide) {
  expect_rejected(
      {{"x>4", "x<4"}, {"x>4", "x\\ge 4"}, {"x<4", "-x<-4"}, {"x>4", "y>4"}, {"x>3", "x<-2"}, {"[4,\\infty)", "x>4"}});
}

TEST(RejectedAnswers, WorkThatIsLeftToTheReaderIsNoAnswer) {
  expect_rejected({{"4950", "\\sum_{i=1}^{99} i"},
                   {"1", "\\int_0^1 1\\,dx"},
                   {"0", "\\lim_{x\\to\\infty} \\frac1x"},
                   {"120", "\\prod_{k=1}^{5} k"},
                   {"36", "1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1"}});
}

TEST(RejectedAnswers, HedgesAndHacksAreNoAnswer) {
  expect_rejected({{"7", ""},
                   {"7", "7 or 8"},
                   {"7", "\\{7,8\\}"},
                   {"7", "\\text{either 7 or 8}"},
                   {"7", "1,2,3,4,5,6,7"},
                   {"7", "__import__('os').getpid()"},
                   {"7", "the answer"},
                   {"7", "nan"},
                   {"7", "7; drop table"},
                   {"1-\\frac{1}{\\pi}", "1+\\frac1\\pi"},
                   {"7", "x"},
                   {"7", "$"},
                   {"7", "\\boxed{}"}});
}

TEST(RejectedAnswers, NothingEqualsNothing) {
  EXPECT_EQ(verdict("", ""), "gold_unparsable");
  EXPECT_EQ(verdict("nan", "nan"), "gold_unparsable");
  EXPECT_EQ(verdict("5", "nan"), "pred_unparsable");
  EXPECT_EQ(verdict("5", ""), "no_answer");
}

TEST(RejectedAnswers, ExpressionsDifferWhereTheyDiffer) {
  expect_rejected({{"|x|", "x"},
                   {"\\sqrt{x^2}", "x"},
                   {"f(x)", "f(y)"},
                   {"x^2", "x^3"},
                   {"(a+7)(b+3)", "(7)(b+3)"},
                   {"x+4n+1", "x+1"},
                   {"\\sin x", "\\cos x"},
                   {"\\ln x^2", "2\\ln x"},
                   {"\\log 1000", "3"},
                   {"-2-i", "-2+i"},
                   {"5", "5\\sqrt{3}"}});
}

TEST(RejectedAnswers, MinusIsNoHyphen) {
  expect_rejected({{"-ai", "ai"}, {"a-bi", "a+bi"}, {"-xi", "xi"}, {"\\text{-ai}", "ai"}, {"a-ei", "a ei"}});
  expect_equal({{"a-bi", "-bi+a"}, {"\\text{x-axis}", "x-axis"}});
}

TEST(RejectedAnswers, AboutIsNotEqual) {
  expect_rejected(
      {{"5", "x \\approx 5"}, {"\\pi", "\\approx\\pi"}, {"5", "5\\text{ of 23}"}, {"5", "5\\text{ not 6}"}});
  expect_equal({{"\\frac{\\sqrt5}{2}", "\\frac{\\sqrt5}{2} \\approx 1.118"}});
}

TEST(RejectedAnswers, MatricesHaveAShape) {
  expect_rejected({{"\\begin{pmatrix}2\\\\-5\\end{pmatrix}", "\\begin{pmatrix}2&-5\\end{pmatrix}"},
                   {"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}"},
                   {"\\begin{pmatrix}2\\\\-5\\end{pmatrix}", "(2,-5)"}});
}

TEST(RejectedAnswers, RatiosAreNoQuotients) { expect_rejected({{"4:7", "4/7"}, {"4:7", "8:14"}}); }

TEST(RejectedAnswers, NamesOfManyUnknownsKeepTheirOrder) {
  expect_rejected({{"x=3,y=4", "4,3"}});
  expect_equal({{"x=3,y=4", "3,4"}, {"x=3,y=4", "y=4,x=3"}});
}

}  // namespace
}  // namespace noregret
