#include "tests/grade/grading.h"

namespace noregret {
namespace {

// ---- numbers

TEST(EqualAnswers, ThousandsAreGroupedInEveryNotation) {
  expect_equal({{"4321", "4,321"},
                {"54,\\!321", "54321"},
                {"54{,}321", "54,321"},
                {"7000", "7 000"},
                {"7\\,000", "7000"},
                {"1,234,567", "1234567"},
                {"\\$2,\\!500", "2500"}});
}

TEST(EqualAnswers, IntegersAndDecimalsAreExactRationals) {
  expect_equal({{"7", "7.0"},
                {"7", "07"},
                {"-0", "0"},
                {".25", "0.25"},
                {"0.125", "\\frac{1}{8}"},
                {"0.1\\overline{6}", "\\frac16"},
                {"0.\\overline{3}", "1/3"}});
}

TEST(EqualAnswers, FractionsAreReadInEveryNotation) {
  expect_equal({{"\\frac{3}{7}", "\\dfrac37"},
                {"\\frac 57", "5/7"},
                {"-\\frac{3}{4}", "\\frac{-3}{4}"},
                {"-\\frac{3}{4}", "\\frac{3}{-4}"},
                {"\\frac{3}{4}", "\\cfrac{6}{8}"},
                {"\\frac1{12}", "1\\div 12"},
                {"\\frac{7}2", "3.5"}});
}

TEST(EqualAnswers, MixedNumbersAreSums) {
  expect_equal(
      {{"2\\frac{1}{3}", "\\frac{7}{3}"}, {"7/3", "2 1/3"}, {"-2\\frac13", "-\\frac73"}, {"6 \\frac{3}{4}", "6.75"}});
}

TEST(EqualAnswers, PercentMoneyAndDegreesAreLeftOut) {
  expect_equal({{"35\\%", "35"},
                {"35", "35\\%"},
                {"35\\%", "35 percent"},
                {"\\$8", "8"},
                {"70^\\circ", "70"},
                {"70^{\\circ}", "70\\text{ degrees}"},
                {"70", "70\xC2\xB0"}});
}

TEST(EqualAnswers, UnitsAfterANumberAreLeftOut) {
  expect_equal({{"14", "14\\text{ cm}"},
                {"14", "14\\ \\mathrm{cm}^2"},
                {"14\\mbox{ inches}", "14"},
                {"14\\text{ square feet}", "14"},
                {"14", "14 cm"},
                {"\\frac{3}{2}\\pi\\text{ inches}", "1.5\\pi"}});
}

TEST(EqualAnswers, ScientificNotationIsWorkedOut) {
  expect_equal({{"4 \\times 10^{6}", "4000000"}, {"4000000", "4e6"}, {"0.0025", "2.5*10^{-3}"}});
}

TEST(EqualAnswers, NumbersInABaseKeepIt) { expect_equal({{"1101_2", "1101_{2}"}, {"0432_7", "432_7"}}); }

// ---- constants

TEST(EqualAnswers, RootsAreProved) {
  expect_equal({{"2\\sqrt{7}", "\\sqrt{28}"},
                {"\\sqrt{7+2\\sqrt{10}}", "\\sqrt{2}+\\sqrt5"},
                {"\\sqrt[3]{5}", "5^{1/3}"},
                {"\\frac{1}{\\sqrt{5}}", "\\frac{\\sqrt 5}{5}"},
                {"\\sqrt{-9}", "3i"},
                {"\\sqrt[3]{-27}", "-3"}});
}

TEST(EqualAnswers, TrigonometryAndLogarithmsAreProved) {
  expect_equal({{"\\cos 30^\\circ", "\\frac{\\sqrt3}{2}"},
                {"\\tan\\frac{\\pi}{12}", "2-\\sqrt{3}"},
                {"\\log_3 81", "4"},
                {"\\frac{\\log 27}{\\log 3}", "3"},
                {"\\arctan 1", "\\frac{\\pi}{4}"},
                {"e^{i\\pi}", "-1"}});
}

TEST(EqualAnswers, BinomialsAndFactorialsAreWorkedOut) {
  expect_equal({{"\\binom{6}{3}", "20"}, {"4!", "24"}, {"\\frac{9!}{7!}", "72"}});
}

TEST(EqualAnswers, ComplexNumbersAreUnorderedSums) { expect_equal({{"3 - 4i", "-4i+3"}, {"\\frac{2+4i}{2}", "1+2i"}}); }

// ---- expressions

TEST(EqualAnswers, PolynomialsAreExpanded) {
  expect_equal({{"3x+5", "5+3x"},
                {"a(b+2)", "ab+2a"},
                {"(x-3)(x+3)", "x^2-9"},
                {"\\frac{x+5}{3}", "\\frac{x}{3}+\\frac53"},
                {"(t+1)^{1000}", "(1+t)^{1000}"},
                {"x^2+3x+2", "(x+1)*(x+2)"}});
}

TEST(EqualAnswers, RationalFunctionsAreReduced) {
  expect_equal({{"\\frac{x^2-1}{x-1}", "x+1"}, {"\\frac{1}{x}+\\frac1y", "\\frac{x+y}{xy}"}, {"\\pi r^2", "r^2\\pi"}});
}

TEST(EqualAnswers, IdentitiesAgreeAtPoints) {
  expect_equal({{"\\sin(2t)", "2\\sin t\\cos t"},
                {"\\cos^2 x", "1-\\sin^2 x"},
                {"\\sqrt{x^2}", "|x|"},
                {"\\sqrt{12}x", "2\\sqrt3 x"},
                {"e^{x+1}", "e\\cdot e^x"}});
}

TEST(EqualAnswers, AgreementAtPointsIsRecordedAndCanBeRefused) {
  const Grade grade = grader().grade("\\sin(2t)", "2\\sin t\\cos t");
  EXPECT_TRUE(grade.is_numeric);
  EXPECT_EQ(grade.tier, 4);
  EXPECT_EQ(verdict("\\sin(2t)", "2\\sin t\\cos t", {.accept_numeric = false, .deadline_ms = 5000}), "unknown");
}

// ---- structures

TEST(EqualAnswers, TuplesAndIntervalsAreComparedInOrder) {
  expect_equal({{"(3,4)", "( 3 , 4.0 )"},
                {"[2,5)", "x \\in [2, 5)"},
                {"(x,y)=(6,7)", "(6,7)"},
                {"(0,1]", "\\left(0,1\\right]"},
                {"(-\\infty,\\infty)", "\\mathbb{R}"},
                {"(-\\infty,\\infty)", "(-\\infty,+\\infty)"}});
}

TEST(EqualAnswers, UnionsAndSetsAreUnordered) {
  expect_equal({{"(-\\infty,-5)\\cup(5,\\infty)", "(5,\\infty)\\cup (-\\infty,-5)"},
                {"\\{2,3,8\\}", "\\{8,2,3\\}"},
                {"\\{2,3,8\\}", "{2,3,8}"},
                {"\\emptyset", "\\{\\}"}});
}

TEST(EqualAnswers, ListsAreUnordered) {
  expect_equal({{"-7,2,9", "9,-7,2"},
                {"4,6", "4\\text{ and }6"},
                {"2\\pm\\sqrt{3}", "2-\\sqrt3, 2+\\sqrt3"},
                {"\\pm 8", "{-8,8}"},
                {"1,000, 2", "2, 1000"}});
}

TEST(EqualAnswers, InequalitiesAreTheirIntervals) {
  expect_equal({{"x \\ge 4", "[4,\\infty)"},
                {"x>4", "4<x"},
                {"-2<x\\le 6", "(-2,6]"},
                {"x < -3 \\text{ or } x > 3", "(-\\infty,-3)\\cup(3,\\infty)"},
                {"x < 2", "-x > -2"},
                {"t \\ne 4", "t \\neq 4"}});
}

TEST(EqualAnswers, EquationsAreEqualUpToAFactor) {
  expect_equal({{"3x-2y+7=0", "-6x+4y-14=0"}, {"y=3x-2", "3x-y-2=0"}, {"x^2+y^2=9", "2x^2+2y^2=18"}});
}

TEST(EqualAnswers, ValueOfANamedQuantityIsTheAnswer) {
  expect_equal(
      {{"12", "x=12"}, {"k=12", "12"}, {"12", "f(3)=12"}, {"9", "4+5=9"}, {"9", "x=4+5=9"}, {"P(x)=x+1", "P(t)=1+x"}});
}

TEST(EqualAnswers, MatricesAreComparedByElement) {
  expect_equal({{"\\begin{pmatrix}2\\\\-5\\end{pmatrix}", "\\begin{bmatrix} 2 \\\\ -5 \\end{bmatrix}"},
                {"\\begin{pmatrix}2&4\\\\6&8\\end{pmatrix}", "2\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}"}});
}

TEST(EqualAnswers, WordsAreComparedAsWords) {
  expect_equal({{"\\text{Monday}", "monday"},
                {"\\text{odd}", "odd"},
                {"(C)", "C"},
                {"\\text{(C)}", "C"},
                {"C", "\\textbf{(C)}"},
                {"\\text{B, D}", "D, B"},
                {"\\text{yes}", "Yes."}});
}

TEST(EqualAnswers, TimesAndRatiosAreComparedByPart) { expect_equal({{"07\\!:\\!30", "7:30"}, {"2:3", "2 : 3"}}); }

TEST(EqualAnswers, NoiseIsLeftOut) {
  expect_equal({{"8", "$8$"},
                {"8", "**8**"},
                {"8", "\\boxed{8}"},
                {"8", "8\\,"},
                {"8", "8."},
                {"8", "\\[8\\]"},
                {"-8",
                 "\xE2\x88\x92"
                 "8"},
                {"\\frac12", "\\left(\\frac12\\right)"},
                {"\\frac{2}{3}", "\\\\frac{2}{3}"}});
}

TEST(EqualAnswers, EqualTreesNeedNoArithmetic) { expect_equal({{"7^{7^{7^{7}}}", "7^{7^{7^7}}"}, {"3000!", "3000!"}}); }

TEST(EqualAnswers, SumThatIsLeftToTheReaderAnswersItself) {
  expect_equal({{"\\sum_{k=1}^{n} a_k b_k", "\\sum_{k=1}^n b_k a_k"}});
}

// ---- options

TEST(GradeOptionsTest, RequireReducedRefusesFractionsThatAreNot) {
  EXPECT_EQ(verdict("\\frac{2}{3}", "\\frac{4}{6}"), "equal");
  const GradeOptions options{.require_reduced = true, .deadline_ms = 5000};
  EXPECT_EQ(verdict("\\frac{2}{3}", "\\frac{4}{6}", options), "not_equal");
  EXPECT_EQ(verdict("\\frac{2}{3}", "2/3", options), "equal");
  EXPECT_EQ(verdict("(1,\\frac12)", "(1,\\frac24)", options), "not_equal");
}

TEST(GradeOptionsTest, ToleranceTakesCorrectRoundingOnly) {
  const GradeOptions options{.tolerance_digits = 4, .deadline_ms = 5000};
  expect_equal({{"\\frac{2}{3}", "0.6667"}, {"\\sqrt{2}", "1.41421"}, {"10\\pi", "31.416"}}, options);
  expect_rejected({{"\\frac{2}{3}", "0.6666"}, {"\\frac23", "0.667"}, {"\\sqrt{2}", "1.4143"}, {"\\sqrt2", "1.41"}},
                  options);
}

TEST(GradeOptionsTest, UnitsAreCheckedOnRequest) {
  const GradeOptions options{.check_units = true, .deadline_ms = 5000};
  expect_rejected({{"5\\text{ cm}", "5\\text{ inches}"}}, options);
  expect_equal({{"5\\text{ cm}", "5"}, {"5\\text{ cm}", "5\\text{ cm}"}}, options);
}

TEST(GradeOptionsTest, PercentAsFractionOnRequest) {
  const GradeOptions options{.percent_as_fraction = true, .deadline_ms = 5000};
  expect_equal({{"35\\%", "0.35"}, {"0.35", "35\\%"}, {"35\\%", "35"}}, options);
  expect_rejected({{"35", "0.35"}}, options);
}

TEST(GradeOptionsTest, BareDigitsOfABaseOnRequest) {
  expect_rejected({{"101_2", "101"}});
  expect_equal({{"101_2", "101"}}, {.bare_base = true, .deadline_ms = 5000});
  expect_rejected({{"101_2", "5"}}, {.bare_base = true, .deadline_ms = 5000});
}

}  // namespace
}  // namespace noregret
