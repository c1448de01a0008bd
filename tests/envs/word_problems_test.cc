#include "envs/word_problems/word_problems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "envs/common/procedural.h"
#include "envs/registry.h"

namespace noregret {
namespace {

using testing::HasSubstr;

std::unique_ptr<TaskSource> make(const std::string& options_json, uint64_t seed = 1) {
  Json options = parse_json(options_json, "options");
  options["name"] = "word_problems";
  return make_task(Node::from_json(options, Location{"test.yaml", 3, 1}), {.seed = seed});
}

std::string question(const Task& task) { return task.messages.at(0).content; }

// Reads "5+7=12. 12-4=8.\n#### 8": is each step right, does each begin with the last result, and is the last line the
// last result?
bool is_right_working(const std::string& text, const std::string& reference) {
  const size_t end = text.find("\n#### ");
  if (end == std::string::npos || text.substr(end + 6) != reference) return false;
  size_t at = 0;
  int64_t last = -1;
  while (at < end) {
    int64_t left = 0, right = 0, result = 0;
    char sign = 0;
    int used = 0;
    if (std::sscanf(text.c_str() + at, "%ld%c%ld=%ld.%n", &left, &sign, &right, &result, &used) != 4 || used == 0)
      return false;
    if (last >= 0 && left != last) return false;
    if (result != (sign == '+' ? left + right : left - right)) return false;
    last = result;
    at += static_cast<size_t>(used);
    if (at < end && text[at] == ' ') ++at;
  }
  return std::to_string(last) == reference;
}

// The answer as a reader of the story finds it, from its words alone.
int64_t solve(const std::string& story) {
  int64_t value = -1;
  size_t begin = 0;
  bool wants_more = story.find("How many more") != std::string::npos;
  while (true) {
    const size_t end = story.find('.', begin);
    if (end == std::string::npos) return value;
    const std::string sentence = story.substr(begin, end - begin);
    const int64_t number = std::stoll(sentence.substr(sentence.find_first_of("0123456789")));
    const auto has = [&](const char* word) { return sentence.find(word) != std::string::npos; };
    if (value < 0) {
      value = number;
    } else if (has(" has ")) {
      value += wants_more ? -number : number;
    } else if (has("buys") || has("finds") || has("gets") || has("wins")) {
      value += number;
    } else {
      value -= number;
    }
    begin = end + 1;
  }
}

TEST(WordProblems, TenThousandAnswersFollowFromTheirStories) {
  for (const char* options : {R"({"level": 1})", R"({"level": 2})", R"({"level": 3})"}) {
    const auto tasks = make(options);
    for (int64_t i = 0; i < 3500; ++i) {
      const Task task = tasks->get(Split::kTrain, i);
      ASSERT_EQ(std::to_string(solve(question(task))), task.reference) << question(task);
      ASSERT_TRUE(is_right_working(*task.demonstration, task.reference)) << *task.demonstration;
    }
  }
}

TEST(WordProblems, ResultsStayBetweenZeroAndThreeTimesTheLargestNumber) {
  const auto tasks = make(R"({"level": 3})");
  for (int64_t i = 0; i < 3000; ++i) {
    const Task task = tasks->get(Split::kTrain, i);
    EXPECT_THAT(std::stoll(task.reference), testing::AllOf(testing::Ge(0), testing::Le(60))) << question(task);
    EXPECT_EQ(task.demonstration->find("=-"), std::string::npos) << *task.demonstration;
  }
}

TEST(WordProblems, SplitsShareNoQuestion) {
  const auto tasks = make(R"({"level": 1, "max_number": 5})");  // few questions, so that an overlap would show
  std::set<std::string> train;
  for (int64_t i = 0; i < 10000; ++i) train.insert(question(tasks->get(Split::kTrain, i)));
  for (int64_t i = 0; i < 2000; ++i) EXPECT_EQ(train.count(question(tasks->get(Split::kEval, i))), 0u);
}

TEST(WordProblems, HeldOutQuestionsAreTheSameForEverySeed) {
  const auto eval = make(R"({"level": 1, "max_number": 5})", 1);
  const auto train = make(R"({"level": 1, "max_number": 5})", 2);
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_TRUE(is_held_out(question(eval->get(Split::kEval, i))));
    EXPECT_FALSE(is_held_out(question(train->get(Split::kTrain, i))));
  }
}

TEST(WordProblems, TaskIsAFunctionOfOptionsSeedSplitAndIndex) {
  const auto one = make(R"({})");
  const auto two = make(R"({})");
  (void)two->get(Split::kTrain, 99);
  const Task a = one->get(Split::kTrain, 17);
  const Task b = two->get(Split::kTrain, 17);
  EXPECT_EQ(question(a), question(b));
  EXPECT_EQ(a.demonstration, b.demonstration);
  EXPECT_EQ(a.id, "word_problems/train/17");
  EXPECT_NE(question(make(R"({})", 2)->get(Split::kTrain, 17)), question(a));
}

TEST(WordProblems, TextsAreShortAndOfFewCharacters) {
  const auto tasks = make(R"({"level": 3})");
  for (int64_t i = 0; i < 3000; ++i) {
    const Task task = tasks->get(Split::kTrain, i);
    EXPECT_LE(question(task).size(), 112u) << question(task);
    EXPECT_LE(task.demonstration->size(), 40u) << *task.demonstration;
    const std::string all = question(task) + *task.demonstration;
    EXPECT_EQ(all.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?+-*=# \n"),
              std::string::npos)
        << all;
  }
}

TEST(WordProblems, QuestionEndsWithALineEnd) { EXPECT_EQ(question(make("{}")->get(Split::kTrain, 0)).back(), '\n'); }

TEST(WordProblems, MetadataNamesLevelAndSteps) {
  const Task task = make(R"({"level": 3})")->get(Split::kTrain, 0);
  EXPECT_EQ(dump_json(task.metadata), R"({"level":3,"steps":3})");
}

TEST(WordProblems, SourceIsEndless) { EXPECT_EQ(make("{}")->size(Split::kTrain), TaskSource::kEndless); }

TEST(WordProblems, SloppySharesAreKept) {
  const auto tasks = make(R"({"sloppy": {"guess": 0.55, "slip": 0.05, "no_answer": 0.05}})");
  int64_t guesses = 0, slips = 0, without_answer = 0, right = 0;
  for (int64_t i = 0; i < 10000; ++i) {
    const Task task = tasks->get(Split::kTrain, i);
    const std::string& text = *task.demonstration;
    if (text.rfind("#### ", 0) == 0) {
      ++guesses;
      EXPECT_NE(text, "#### " + task.reference);
    } else if (text.find("####") == std::string::npos) {
      ++without_answer;
      EXPECT_TRUE(is_right_working(text + "\n#### " + task.reference, task.reference)) << text;
    } else if (is_right_working(text, task.reference)) {
      ++right;
    } else {
      ++slips;
      const int64_t off = std::stoll(text.substr(text.find("#### ") + 5)) - std::stoll(task.reference);
      EXPECT_EQ(std::abs(off), 1) << text;
    }
  }
  // Four standard deviations of a binomial share at 10,000 draws are at most 0.02.
  EXPECT_NEAR(guesses / 10000.0, 0.55, 0.02);
  EXPECT_NEAR(slips / 10000.0, 0.05, 0.01);
  EXPECT_NEAR(without_answer / 10000.0, 0.05, 0.01);
  EXPECT_NEAR(right / 10000.0, 0.35, 0.02);
}

TEST(WordProblems, SlipsNeverGoBelowZero) {
  const auto tasks = make(R"({"sloppy": {"slip": 1.0}})");
  for (int64_t i = 0; i < 3000; ++i) {
    const Task task = tasks->get(Split::kTrain, i);
    EXPECT_EQ(task.demonstration->find("=-"), std::string::npos) << *task.demonstration;
  }
}

TEST(WordProblems, SloppySharesAboveOneAreRefused) {
  try {
    make(R"({"sloppy": {"guess": 0.7, "slip": 0.7}})");
    FAIL() << "no error";
  } catch (const ConfigError& e) {
    EXPECT_THAT(e.what(), HasSubstr("task.sloppy has shares that sum to 1.4, want at most 1"));
  }
}

TEST(WordProblems, LevelBeyondThreeIsRefused) {
  try {
    make(R"({"level": 4})");
    FAIL() << "no error";
  } catch (const ConfigError& e) {
    EXPECT_THAT(e.what(), HasSubstr("task.level is 4, want 1 to 3"));
  }
}

TEST(WordProblems, DigestFollowsTheOptions) {
  EXPECT_EQ(make("{}")->digest(), make(R"({"level": 2})")->digest());
  EXPECT_NE(make("{}")->digest(), make(R"({"level": 1})")->digest());
}

}  // namespace
}  // namespace noregret
