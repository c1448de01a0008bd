#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envs/registry.h"

namespace noregret {
namespace {

using testing::HasSubstr;

std::unique_ptr<TaskSource> make(const Json& options) {
  return make_task(Node::from_json(options, Location{"test.yaml", 3, 1}), {.seed = 1});
}

double part_of(const StepResult& result, const std::string& name) {
  for (const auto& [known, value] : result.parts) {
    if (known == name) return value;
  }
  ADD_FAILURE() << "no part " << name;
  return -1.0;
}

// ---- guess_number

TEST(GuessNumber, AnswersLargerOrSmallerUntilItIsFound) {
  const auto tasks = make({{"name", "guess_number"}, {"numbers", 9}, {"max_turns", 5}});
  const Task task = tasks->get(Split::kTrain, 0);
  const int64_t secret = std::stoll(task.reference);
  const auto episode = tasks->start(task);
  EXPECT_EQ(episode->step({cat("#### ", secret - 1)}).messages.at(0).content, "The number is larger.\n");
  EXPECT_EQ(episode->step({cat("It is\n#### ", secret + 1, ".")}).messages.at(0).content, "The number is smaller.\n");
  const StepResult last = episode->step({cat("#### ", secret)});
  EXPECT_TRUE(last.is_terminated);
  EXPECT_FALSE(last.is_truncated);
  EXPECT_EQ(last.score, 1.0);
  EXPECT_EQ(part_of(last, "turns"), 3.0);
}

TEST(GuessNumber, EndsAfterItsTurnsWithoutScore) {
  const auto tasks = make({{"name", "guess_number"}, {"max_turns", 2}});
  const auto episode = tasks->start(tasks->get(Split::kTrain, 3));
  EXPECT_FALSE(episode->step({"#### 0"}).is_over());
  const StepResult last = episode->step({"#### 0"});
  EXPECT_TRUE(last.is_truncated);
  EXPECT_FALSE(last.is_terminated);
  EXPECT_EQ(last.stop_reason, StopReason::kMaxTurns);
  EXPECT_EQ(last.score, 0.0);
}

TEST(GuessNumber, AnUnreadableTurnCountsAndIsTold) {
  const auto tasks = make({{"name", "guess_number"}});
  const Task task = tasks->get(Split::kTrain, 0);
  for (const std::string& text : {std::string("perhaps "), cat("#### ", task.reference, " or 1"), cat(task.reference),
                                  std::string("#### 99999999999999999999"), std::string("#### 0x5")}) {
    const StepResult result = tasks->start(task)->step({text});
    EXPECT_THAT(result.messages.at(0).content, HasSubstr("I see no number")) << text;
    EXPECT_EQ(part_of(result, "unreadable"), 1.0);
  }
}

TEST(GuessNumber, HalvingFindsEveryNumber) {
  const auto tasks = make({{"name", "guess_number"}, {"numbers", 7}, {"max_turns", 3}});
  for (int64_t i = 0; i < 50; ++i) {
    const Task task = tasks->get(Split::kEval, i);
    int64_t low = task.metadata["low"], high = task.metadata["high"];
    const auto episode = tasks->start(task);
    StepResult result;
    while (!result.is_over()) {
      const int64_t guess = (low + high) / 2;
      result = episode->step({cat("#### ", guess)});
      if (result.is_over()) break;
      const bool is_larger = result.messages[0].content == "The number is larger.\n";
      is_larger ? low = guess + 1 : high = guess - 1;
    }
    EXPECT_EQ(result.score, 1.0);
  }
}

// ---- calculator

TEST(Calculator, CallsAreWorkedOutExactly) {
  const auto tasks = make({{"name", "calculator"}, {"max_turns", 10}});
  const auto episode = tasks->start(tasks->get(Split::kTrain, 0));
  const auto say = [&](const std::string& text) { return episode->step({text}).messages.at(0).content; };
  EXPECT_EQ(say("I ask.\ncalc 37*12-48"), "396\n");
  EXPECT_EQ(say("calc 7/2"), "7/2\n");
  EXPECT_EQ(say("calc (2-5)*4\n"), "-12\n");
  EXPECT_EQ(say("calc 6/4/3"), "1/2\n");
  EXPECT_EQ(say("calc 5/(1-3)"), "-5/2\n");
  for (const std::string text : {"calc -", "calc 1/0", "calc 2**9", "calc __import__(1)", "calc 9-", "calc 1.5+1",
                                 "calc 999999999*999999999*999999999", "calc 1/(2-2)"}) {
    const StepResult result = tasks->start(tasks->get(Split::kTrain, 0))->step({text});
    EXPECT_THAT(result.messages.at(0).content, HasSubstr("cannot read")) << text;
    EXPECT_EQ(part_of(result, "bad_calls"), 1.0) << text;
  }
}

TEST(Calculator, TheResultEndsTheEpisode) {
  const auto tasks = make({{"name", "calculator"}});
  const Task task = tasks->get(Split::kTrain, 7);
  EXPECT_FALSE(task.demonstration);
  const StepResult right = tasks->start(task)->step({"#### " + task.reference});
  EXPECT_TRUE(right.is_terminated);
  EXPECT_EQ(right.score, 1.0);
  const StepResult wrong = tasks->start(task)->step({"#### " + task.reference + "1"});
  EXPECT_TRUE(wrong.is_terminated);
  EXPECT_EQ(wrong.score, 0.0);
  EXPECT_EQ(tasks->start(task)->step({"calc 1+1\n#### " + task.reference}).score, 1.0);
}

TEST(Calculator, TurnsThatAreNeitherAreToldAndCounted) {
  const auto tasks = make({{"name", "calculator"}, {"max_turns", 2}});
  const auto episode = tasks->start(tasks->get(Split::kTrain, 0));
  EXPECT_THAT(episode->step({"hm"}).messages.at(0).content, HasSubstr("Write calc"));
  const StepResult last = episode->step({"calc 1+1"});
  EXPECT_EQ(last.stop_reason, StopReason::kMaxTurns);
  EXPECT_TRUE(last.is_truncated);
  EXPECT_EQ(part_of(last, "bad_calls"), 1.0);
  EXPECT_EQ(part_of(last, "calls"), 1.0);
}

// ---- tic_tac_toe

Task board(const std::string& squares) {
  Task task;
  task.metadata = Json{{"board", squares}, {"opponent", "5"}};
  return task;
}

TEST(TicTacToe, ThreeInARowWin) {
  const auto tasks = make({{"name", "tic_tac_toe"}});
  const StepResult result = tasks->start(board("XX OO    "))->step({"#### 3"});
  EXPECT_TRUE(result.is_terminated);
  EXPECT_EQ(result.score, 1.0);
  EXPECT_EQ(result.stop_reason, StopReason::kCompleted);
}

TEST(TicTacToe, AStrongOpponentTakesItsChance) {
  for (const int64_t level : {2, 3}) {
    const auto tasks = make({{"name", "tic_tac_toe"}, {"level", level}});
    const StepResult result = tasks->start(board("X  OO   X"))->step({"#### 2"});
    EXPECT_TRUE(result.is_terminated);
    EXPECT_EQ(result.score, 0.0);
    EXPECT_EQ(part_of(result, "illegal"), 0.0);
  }
}

TEST(TicTacToe, AFullBoardIsADraw) {
  const auto tasks = make({{"name", "tic_tac_toe"}});
  const StepResult result = tasks->start(board("XOXXOOOX "))->step({"#### 9"});
  EXPECT_TRUE(result.is_terminated);
  EXPECT_EQ(result.score, 0.5);
}

TEST(TicTacToe, ASquareThatIsNotFreeEndsTheGame) {
  const auto tasks = make({{"name", "tic_tac_toe"}});
  for (const char* text : {"#### 1", "#### 0", "#### 10", "#### -2", "one", ""}) {
    const StepResult result = tasks->start(board("X   O    "))->step({text});
    EXPECT_TRUE(result.is_terminated) << text;
    EXPECT_EQ(result.stop_reason, StopReason::kParseError) << text;
    EXPECT_EQ(result.score, 0.0) << text;
    EXPECT_EQ(part_of(result, "illegal"), 1.0) << text;
  }
}

TEST(TicTacToe, TheBoardIsToldAfterTheOpponentsMove) {
  const auto tasks = make({{"name", "tic_tac_toe"}, {"level", 2}});
  const StepResult result = tasks->start(board("X   O    "))->step({"#### 2"});
  EXPECT_EQ(result.messages.at(0).content, "XXO\n4O6\n789\n");  // it keeps X from the third
}

TEST(TicTacToe, LevelThreeNeverLosesToTheFirstFreeSquare) {
  const auto tasks = make({{"name", "tic_tac_toe"}, {"level", 3}});
  for (int64_t i = 0; i < 100; ++i) {
    const Task task = tasks->get(Split::kTrain, i);
    if (task.metadata["board"] != "         ") continue;
    const auto episode = tasks->start(task);
    std::string squares = "123456789\n";
    StepResult result;
    while (!result.is_over()) {
      const size_t at = squares.find_first_of("123456789");
      result = episode->step({cat("#### ", squares[at])});
      if (!result.is_over()) squares = result.messages[0].content;
    }
    EXPECT_LE(result.score, 0.5);
  }
}

}  // namespace
}  // namespace noregret
