#include "noregret/grade/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace noregret::math {
namespace {

using Status = Parsed::Status;

Status status(const std::string& text) { return parse_answer(text).status; }

TEST(ParseAnswer, SpellingsOfOneTreeAreOneTree) {
  for (const char* text :
       {"\\dfrac{1}{2}", "\\tfrac12", "\\frac 1 2", "\\frac{1}2", "\\left(\\frac{1}{2}\\right)", "$\\frac12$"}) {
    EXPECT_EQ(canonical(parse_answer(text).expr), canonical(parse_answer("\\frac{1}{2}").expr)) << text;
  }
}

TEST(ParseAnswer, OrderOfSumsProductsAndSetsDoesNotMatter) {
  EXPECT_EQ(canonical(parse_answer("a+b\\cdot c").expr), canonical(parse_answer("c b + a").expr));
  EXPECT_NE(canonical(parse_answer("(1,2)").expr), canonical(parse_answer("(2,1)").expr));
  EXPECT_NE(canonical(parse_answer("a-b").expr), canonical(parse_answer("b-a").expr));
}

TEST(ParseAnswer, NamesCannotLookLikeTrees) {
  EXPECT_NE(canonical(parse_answer("x_{a}+b").expr), canonical(parse_answer("x_{a+b}").expr));
}

TEST(ParseAnswer, PrecedenceIsThatOfMathematics) {
  EXPECT_EQ(canonical(parse_answer("-x^2").expr), canonical(parse_answer("-(x^2)").expr));
  EXPECT_EQ(canonical(parse_answer("2^3^2").expr), canonical(parse_answer("2^{(3^2)}").expr));
  EXPECT_EQ(canonical(parse_answer("a/b*c").expr), canonical(parse_answer("(a/b)*c").expr));
  EXPECT_EQ(canonical(parse_answer("a/-b*c").expr), canonical(parse_answer("(a/(-b))*c").expr));
  EXPECT_EQ(canonical(parse_answer("\\sin 2x+1").expr), canonical(parse_answer("\\sin(2x)+1").expr));
}

TEST(ParseAnswer, WhatHasNoMeaningIsUnparsable) {
  for (const char* text : {"(",
                           "{",
                           "}",
                           "\\frac{}{2}",
                           "\\int",
                           "!0",
                           "^",
                           "||x|",
                           "()",
                           "@",
                           "%",
                           "&",
                           "*",
                           "a\\%",
                           "1 2",
                           "5 6 7",
                           "4 10/3",
                           "x 2",
                           "(1,2",
                           "\\unknown{5}",
                           "1 = ",
                           "nan",
                           "\\begin{pmatrix}1&2\\\\3\\end{pmatrix}",
                           "5 +",
                           "5,",
                           "[1,2,3)",
                           "78_8"}) {
    EXPECT_EQ(status(text), Status::kUnparsable) << text;
  }
}

TEST(ParseAnswer, NothingIsEmpty) {
  for (const char* text : {"", "  ", "$$", "\\boxed{}", ".", "\n"}) EXPECT_EQ(status(text), Status::kEmpty) << text;
}

TEST(ParseAnswer, CapsHoldBeforeAnyArithmetic) {
  EXPECT_EQ(status(std::string(513, '1')), Status::kOverCap);
  EXPECT_EQ(status(std::string(500, '(') + "1"), Status::kOverCap);
  std::string many = "1";
  for (int i = 0; i < 200; ++i) many += "+1";
  EXPECT_EQ(status(many), Status::kOverCap);
  EXPECT_EQ(status(std::string(500, '-') + "1"), Status::kOverCap);
  EXPECT_EQ(status(std::string(500, '^')), Status::kOverCap);
}

TEST(ParseAnswer, WordsAreNoProducts) {
  EXPECT_TRUE(parse_answer("\\text{even}").expr.is(Kind::kText, "even"));
  EXPECT_TRUE(parse_answer("Even").expr.is(Kind::kText, "even"));
  EXPECT_TRUE(parse_answer("xy").expr.is(Kind::kProduct));
  EXPECT_TRUE(parse_answer("\\text{A, C}").expr.is(Kind::kList));
}

TEST(ParseAnswer, CommasSeparateOnRequest) {
  EXPECT_TRUE(parse_answer("1,234").expr.is(Kind::kNumber, "1234"));
  EXPECT_TRUE(parse_answer("1,234", Commas::kSeparate).expr.is(Kind::kList));
  EXPECT_TRUE(parse_answer("(1,234)").expr.is(Kind::kTuple));
}

TEST(ParseAnswer, CodeIsText) {
  for (const char* text : {"__import__('os')", "$(ls)", "`ls`; rm -rf x", "eval(1)", "lambda: 0"}) {
    EXPECT_NE(status(text), Status::kEmpty) << text;  // and nothing ran
  }
}

}  // namespace
}  // namespace noregret::math
