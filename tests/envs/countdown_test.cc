#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envs/common/expression.h"
#include "envs/registry.h"

namespace noregret {
namespace {

std::unique_ptr<TaskSource> make(const Json& options = Json::object()) {
  Json task = options;
  task["name"] = "countdown";
  return make_task(Node::from_json(task, Location{"c.yaml", 3, 1}), {.seed = 1});
}

// 5, 7 and 2 make 24; 8, 3, 8 and 3 make 24 only by way of a fraction.
double score(const std::string& said, const std::vector<int64_t>& numbers = {5, 7, 2}, int64_t target = 24) {
  Task task;
  task.metadata = {{"numbers", numbers}, {"target", target}};
  return make()->start(task)->step({said, false}).score;
}

std::string value(const std::string& text) {
  const auto expression = read_expression(text);
  if (!expression) return "unreadable";
  const auto fraction = value_of(*expression);
  return fraction ? cat(fraction->above, "/", fraction->below) : "undefined";
}

TEST(CountdownExpression, BindsAsUsual) {
  EXPECT_EQ(value("2+3*4"), "14/1");
  EXPECT_EQ(value("(2+3)*4"), "20/1");
  EXPECT_EQ(value("9-3-2"), "4/1");
  EXPECT_EQ(value("8/4/2"), "8/8");
  EXPECT_EQ(value(" 8 / ( 3 - 8 / 3 ) "), "24/1");
}

TEST(CountdownExpression, ReadsLatexAndSigns) {
  EXPECT_EQ(value(R"(\left(2+3\right)\times4)"), "20/1");
  EXPECT_EQ(value(R"(6\div 2 \cdot 5)"), "30/2");
  EXPECT_EQ(value("2\xc3\x97"
                  "3\xe2\x88\x92"
                  "4\xc3\xb7"
                  "2"),
            "8/2");
}

TEST(CountdownExpression, ByZeroIsUndefined) {
  EXPECT_EQ(value("3/(2-2)"), "undefined");
  EXPECT_EQ(value("(2-2)/3"), "0/3");
}

TEST(CountdownExpression, TricksAreUnreadable) {
  for (const char* text : {"",
                           " ",
                           "3**4",
                           "7//2",
                           "1.5",
                           "1e3",
                           "-3",
                           "+3",
                           "3--4",
                           "3*-4",
                           "2(3)",
                           "(2)3",
                           "2 3",
                           "3+",
                           "*3",
                           "()",
                           "(3",
                           "3)",
                           "3!",
                           "3^2",
                           "sqrt(4)",
                           "0x10",
                           "03",
                           "0",
                           "3+0",
                           "1,000",
                           "3=3",
                           "[3]",
                           "a",
                           "2_0",
                           "1234567890",
                           "3+4;",
                           "__import__(\"os\")",
                           "\\frac{3}{4}"}) {
    EXPECT_EQ(value(text), "unreadable") << text;
  }
}

TEST(CountdownExpression, DepthIsBounded) {
  const auto nested = [](size_t depth) { return std::string(depth, '(') + "1" + std::string(depth, ')'); };
  EXPECT_EQ(value(nested(16)), "1/1");
  EXPECT_EQ(value(nested(17)), "unreadable");
}

TEST(CountdownEpisode, AnyRightExpressionPays) {
  for (const char* said : {"#### (5+7)*2", "5+7=12\n#### 2*(7+5)", "#### (5+7)*2 = 24", "\\boxed{(5+7)\\times 2}",
                           "<think>#### 1</think>#### 7*2+5*2\n#### (5+7)*2", "#### ((5)+(7))*2\nDone."}) {
    EXPECT_EQ(score(said), 1.0) << said;
  }
  EXPECT_EQ(score("#### 8/(3-8/3)", {8, 3, 8, 3}), 1.0);
}

TEST(CountdownEpisode, WrongOnesDoNot) {
  for (const char* said : {"(5+7)*2", "#### 24", "#### 5+7+2", "#### (5+7)*2*1", "#### 5*2+7*2", "#### 12*2",
                           "#### 57/2", "#### (5+7)*2=12*2", "#### (5+7)*2=25", "#### (5+7)*2=24=24", "#### 5*7-2 = 24",
                           "#### (5+7)*2\n####", "#### (5+7)*2\n#### 5+7+2", "<think>#### (5+7)*2",
                           "#### (5+7)*2 or so", "#### 7**2-5*5", "#### 2*(5+7.0)", "\\boxed{(5+7)*2"}) {
    EXPECT_EQ(score(said), 0.0) << said;
  }
}

TEST(CountdownEpisode, CutAnswerIsNone) {
  Task task;
  task.metadata = {{"numbers", {5, 7, 2}}, {"target", 24}};
  EXPECT_EQ(make()->start(task)->step({"#### (5+7)*2", true}).score, 0.0);
  const StepResult whole = make()->start(task)->step({"#### (5+7)*2\n", true});
  EXPECT_EQ(whole.score, 1.0);
  EXPECT_TRUE(whole.is_truncated);
  EXPECT_EQ(whole.stop_reason, StopReason::kMaxTokens);
}

TEST(Countdown, ReferenceAndStepsAreRight) {
  const auto tasks = make({{"level", 5}, {"max_number", 100}, {"max_target", 1000}});
  for (int64_t i = 0; i < 500; ++i) {
    const Task task = tasks->get(Split::kTrain, i);
    EXPECT_EQ(tasks->start(task)->step({"#### " + task.reference, false}).score, 1.0) << task.reference;
    EXPECT_LE(task.metadata["target"].get<int64_t>(), 1000);
    const std::string working = task.demonstration->substr(0, task.demonstration->find('\n'));
    EXPECT_THAT(working, testing::EndsWith(cat("=", task.metadata["target"].get<int64_t>(), ".")));
    EXPECT_EQ(std::count(working.begin(), working.end(), '='), 5);
  }
}

TEST(Countdown, QuestionNamesNumbersAndTarget) {
  const Task task = make({{"instruction", ""}})->get(Split::kTrain, 0);
  for (const Json& number : task.metadata["numbers"]) {
    EXPECT_THAT(task.messages[0].content, testing::HasSubstr(cat(number.get<int64_t>())));
  }
  EXPECT_THAT(task.messages[0].content,
              testing::EndsWith(cat(" to make ", task.metadata["target"].get<int64_t>(), ".")));
}

TEST(Countdown, TargetsBelowTheNumbersAreRefused) {
  try {
    make({{"max_number", 50}, {"max_target", 20}});
    FAIL() << "no error";
  } catch (const ConfigError& e) {
    EXPECT_STREQ(e.what(), "c.yaml:3:1: task.max_target is 20, want at least max_number, which is 50");
  }
}

}  // namespace
}  // namespace noregret
