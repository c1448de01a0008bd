// The answers of procedural tasks, found again from their questions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "envs/common/procedural.h"
#include "envs/polynomial_products/polynomial.h"
#include "envs/registry.h"
#include "noregret/grade/gsm8k.h"

namespace noregret {
namespace {

std::vector<Task> draw(const std::string& name, Json options, int64_t count = 1000) {
  options["name"] = name;
  options["instruction"] = "";
  const auto tasks = make_task(Node::from_json(options, Location{"c.yaml", 3, 1}), {.seed = 1});
  std::vector<Task> drawn;
  for (int64_t i = 0; i < count; ++i) drawn.push_back(tasks->get(Split::kTrain, i));
  return drawn;
}

const std::string& question(const Task& task) { return task.messages.at(0).content; }

double score(const std::string& name, const Task& task, const std::string& said) {
  const auto tasks = make_task(Node::from_json({{"name", name}}, Location{}), {.seed = 1});
  return tasks->start(task)->step({said, false}).score;
}

// --- arithmetic

// "What is 3+4*2?": products first, then from left to right.
int64_t solve_chain(const std::string& text) {
  std::istringstream in(text.substr(std::string("What is ").size()));
  int64_t sum = 0, product = 0, number = 0;
  int sign = 1;
  char next = 0;
  in >> product;
  while (in >> next && next != '?') {
    in >> number;
    if (next == '*') {
      product *= number;
      continue;
    }
    sum += sign * product;
    sign = next == '+' ? 1 : -1;
    product = number;
  }
  return sum + sign * product;
}

TEST(Arithmetic, ReferencesAndDemonstrationsAreRight) {
  for (const char* operators : {"+-", "+-*", "*"}) {
    for (const int level : {1, 3, 8}) {
      for (const Task& task : draw("arithmetic", {{"level", level}, {"operators", operators}})) {
        ASSERT_EQ(cat(solve_chain(question(task))), task.reference) << question(task);
        ASSERT_EQ(grade_gsm8k(task.reference, *task.demonstration, false, true).verdict, Verdict::kEqual);
        ASSERT_EQ(task.demonstration->find("=-"), std::string::npos) << *task.demonstration;
      }
    }
  }
}

TEST(Arithmetic, LookIsThatOfTheReadme) {
  const Task task = draw("arithmetic", {{"level", 2}})[0];
  EXPECT_EQ(question(task), "What is 15-5+5?\n");
  EXPECT_EQ(*task.demonstration, "15-5=10. 10+5=15.\n#### 15");
}

TEST(Arithmetic, SumsTakeTheQuickstartsCharacters) {
  for (const Task& task : draw("arithmetic", {{"level", 8}})) {
    const std::string all = question(task) + *task.demonstration;
    EXPECT_EQ(all.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.?+-=# \n"),
              std::string::npos)
        << all;
  }
}

// --- letter_counting

TEST(LetterCounting, ReferencesAreRight) {
  int64_t num_absent = 0;
  for (const Task& task : draw("letter_counting", {{"level", 2}})) {
    const std::string& text = question(task);
    const char letter = text[std::string("How many times does the letter ").size()];
    const size_t quote = text.find('"');
    EXPECT_EQ(cat(std::count(text.begin() + static_cast<int64_t>(quote), text.end(), letter)), task.reference) << text;
    EXPECT_EQ(grade_gsm8k(task.reference, *task.demonstration, false, true).verdict, Verdict::kEqual);
    num_absent += task.reference == "0" ? 1 : 0;
  }
  EXPECT_GT(num_absent, 0);
}

// --- number_sorting

TEST(NumberSorting, ReferencesAreRightAndQuestionsNotInOrder) {
  for (const Task& task : draw("number_sorting", {{"level", 2}})) {
    const std::string listed = question(task).substr(question(task).find(": ") + 2);
    int64_t first = 0, second = 0;
    ASSERT_EQ(std::sscanf(listed.c_str(), "%ld, %ld.", &first, &second), 2) << listed;
    EXPECT_EQ(task.reference, cat(second, ", ", first));
    EXPECT_EQ(first > second, question(task).find("from smallest") != std::string::npos);
  }
}

TEST(NumberSorting, OrderCounts) {
  Task task;
  task.reference = "3, 5, 19";
  for (const char* said : {"#### 3, 5, 19", "#### 3 5 19", "#### [3,5,19].", "\\boxed{(3, 5, 19)}", "#### 03, 5, 19"}) {
    EXPECT_EQ(score("number_sorting", task, said), 1.0) << said;
  }
  for (const char* said :
       {"3, 5, 19", "#### 5, 3, 19", "#### 3, 5", "#### 3, 5, 19, 19", "#### 3, 5, 1 9", "#### 3 < 5 < 19",
        "#### 3,, 5, 19", "#### 3, 5, 19,", "#### [3, 5, 19", "#### -3, 5, 19", "####"}) {
    EXPECT_EQ(score("number_sorting", task, said), 0.0) << said;
  }
}

// --- base_conversion

TEST(BaseConversion, ReferencesAreRight) {
  for (const Task& task : draw("base_conversion", {{"level", 4}, {"bases", {2, 7, 10, 16, 36}}})) {
    const int from = task.metadata["from"].get<int>();
    const int to = task.metadata["to"].get<int>();
    const std::string number = question(task).substr(8, question(task).find(" from") - 8);
    EXPECT_EQ(number.size(), 4u);
    EXPECT_EQ(std::stoll(number, nullptr, from), std::stoll(task.reference, nullptr, to)) << question(task);
    EXPECT_NE(number, task.reference);
  }
}

TEST(BaseConversion, OtherSpellingsOfTheNumberPay) {
  Task task;
  task.reference = "b1";
  task.metadata["to"] = 16;
  for (const char* said : {"#### b1", "#### B1", "#### 0xB1", "#### 00b1", "\\boxed{B1_{16}}", "#### b1_16"}) {
    EXPECT_EQ(score("base_conversion", task, said), 1.0) << said;
  }
  for (const char* said : {"#### 177", "#### b1_8", "#### 0b1_2", "#### b1 or b2", "#### b 1", "#### -b1", "#### b1.0",
                           "#### g1", "#### _16", "#### 0x"}) {
    EXPECT_EQ(score("base_conversion", task, said), 0.0) << said;
  }
}

TEST(BaseConversion, OneBaseIsRefused) {
  EXPECT_THROW(draw("base_conversion", {{"bases", {2, 2}}}, 1), ConfigError);
  EXPECT_THROW(draw("base_conversion", {{"bases", Json::array()}}, 1), ConfigError);
}

// --- polynomial_products

int64_t value_at(const Polynomial& polynomial, int64_t x) {
  int64_t value = 0;
  for (size_t i = polynomial.size(); i-- > 0;) value = value * x + polynomial[i];
  return value;
}

TEST(PolynomialProducts, ReferencesAreRight) {
  for (const Task& task : draw("polynomial_products", {{"level", 4}})) {
    const auto reference = read_polynomial(task.reference);
    ASSERT_TRUE(reference) << task.reference;
    for (const int64_t x : {-3, -1, 0, 1, 2}) {
      int64_t product = 1;
      for (size_t open = question(task).find('('); open != std::string::npos;
           open = question(task).find('(', open + 1)) {
        const auto factor = read_polynomial(question(task).substr(open + 1, question(task).find(')', open) - open - 1));
        ASSERT_TRUE(factor) << question(task);
        product *= value_at(*factor, x);
      }
      EXPECT_EQ(value_at(*reference, x), product) << question(task);
    }
  }
}

TEST(PolynomialProducts, OnlyTheExpandedFormPays) {
  Task task;
  task.reference = "2x^2-5x-3";
  for (const char* said : {"\\boxed{2x^2-5x-3}", "\\boxed{-3 - 5x + 2x^{2}}", "\\boxed{$2 x^2 - 5 x - 3$}",
                           "#### 2*x^2-5*x-3", "\\boxed{2x^2-5x-3+0x^3}"}) {
    EXPECT_EQ(score("polynomial_products", task, said), 1.0) << said;
  }
  for (const char* said :
       {"\\boxed{(2x+1)(x-3)}", "2x^2-5x-3", "\\boxed{2x^2-6x+x-3}", "\\boxed{2x^2-5x+3}", "\\boxed{2y^2-5y-3}",
        "\\boxed{x(2x-5)-3}", "\\boxed{2x^2-5x-3=0}", "\\boxed{2x^2-5x-3, 1}", "\\boxed{}"}) {
    EXPECT_EQ(score("polynomial_products", task, said), 0.0) << said;
  }
}

TEST(PolynomialProducts, PrintsAsPeopleWrite) {
  EXPECT_EQ(latex_of({0}), "0");
  EXPECT_EQ(latex_of({-1, 1}), "x-1");
  EXPECT_EQ(latex_of({0, -1, 0, 3}), "3x^3-x");
  EXPECT_EQ(latex_of(product({1, 1}, {-1, 1})), "x^2-1");
}

// --- all

TEST(ProceduralTasks, HoldOutOneQuestionInTen) {
  int64_t num_held_out = 0;
  for (int i = 0; i < 10000; ++i) num_held_out += is_held_out(cat("question ", i)) ? 1 : 0;
  EXPECT_NEAR(num_held_out / 10000.0, 0.1, 0.012);  // four standard deviations of a binomial share
}

TEST(ProceduralTasks, SplitDoesNotDependOnTheInstruction) {
  const auto eval = [](const char* instruction) {
    const Json task = {{"name", "countdown"}, {"instruction", instruction}};
    return make_task(Node::from_json(task, Location{}), {.seed = 1})->get(Split::kEval, 3).messages[0].content;
  };
  EXPECT_EQ(eval("") + "\nDo it.", eval("Do it."));
}

}  // namespace
}  // namespace noregret
