#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "noregret/base/jsonl.h"
#include "noregret/base/text.h"
#include "noregret/reward/rubric.h"

namespace noregret {
namespace {

using testing::HasSubstr;

Plugin load(const std::string& name, const std::string& options_json = "{}") {
  return Plugin(name, options_json, fs::path(NOREGRET_BUILD_DIR) / "rewards");
}

ScoreItem item(const std::string& completion, const std::string& reference, const std::string& finish_reason = "stop") {
  return ScoreItem{"item", "prompt", completion, reference, "{}", finish_reason};
}

ComponentScore judge(const Plugin& plugin, const ScoreItem& one) { return plugin.score({&one, 1}).at(0); }

double score_of(const Plugin& plugin, const ScoreItem& one) {
  const ComponentScore score = judge(plugin, one);
  EXPECT_EQ(score.status, ScoreStatus::kOk) << score.error;
  return score.score;
}

double part_of(const ComponentScore& score, const std::string& name) {
  for (const PartScore& part : score.parts) {
    if (part.name == name) return part.value;
  }
  ADD_FAILURE() << "no part " << name;
  return -1.0;
}

// ---- all

TEST(ShippedPlugins, NeedNoLibTorch) {
  for (const char* name : {"exact_match", "gsm8k_answer", "math_answer", "format"}) (void)load(name);
  const std::string maps = read_file("/proc/self/maps");
  EXPECT_THAT(maps, HasSubstr("libgsm8k_answer.so"));
  EXPECT_THAT(maps, testing::Not(HasSubstr("libtorch")));
  EXPECT_THAT(maps, testing::Not(HasSubstr("libc10")));
}

TEST(ShippedPlugins, ScoresGoFromZeroToOne) {
  for (const char* name : {"exact_match", "gsm8k_answer", "math_answer", "format"}) {
    EXPECT_EQ(load(name).min_reward(), 0.0);
    EXPECT_EQ(load(name).max_reward(), 1.0);
  }
}

// ---- task

TEST(TaskReward, IsTheEpisodesScoreAndParts) {
  const ScoreItem one{"item", "", "", "", R"({"episode":{"score":0.25,"parts":{"turns":3}}})", "stop"};
  const ComponentScore score = judge(load("task"), one);
  EXPECT_EQ(score.score, 0.25) << score.error;
  EXPECT_EQ(part_of(score, "turns"), 3.0);
}

TEST(TaskReward, ATaskThatDoesNotJudgeIsAFailureAndNoZero) {
  const ComponentScore score = judge(load("task"), item("8", "8"));
  EXPECT_EQ(score.status, ScoreStatus::kFailed);
  EXPECT_THAT(score.error, HasSubstr("does not judge itself"));
}

// ---- exact_match

TEST(ExactMatch, OuterWhiteSpaceDoesNotMatter) {
  const Plugin plugin = load("exact_match");
  EXPECT_EQ(score_of(plugin, item("eight", "eight")), 1.0);
  EXPECT_EQ(score_of(plugin, item(" \n eight\t", "eight\n")), 1.0);
}

TEST(ExactMatch, AllElseMatters) {
  const Plugin plugin = load("exact_match");
  for (const char* text : {"Eight", "eight.", "eig ht", "eigh", "eighteen", ""})
    EXPECT_EQ(score_of(plugin, item(text, "eight")), 0.0) << text;
}

TEST(ExactMatch, CutCompletionIsComparedAsItStands) {
  EXPECT_EQ(score_of(load("exact_match"), item("a", "a", "length")), 1.0);
}

TEST(ExactMatch, EmptyReferenceIsAFailure) {
  for (const char* reference : {"", " \n"}) {
    const ComponentScore score = judge(load("exact_match"), item("", reference));
    EXPECT_EQ(score.status, ScoreStatus::kFailed);
    EXPECT_THAT(score.error, HasSubstr("reference is empty"));
  }
}

// ---- gsm8k_answer

TEST(Gsm8kAnswer, PaysTheNumberAfterTheMark) {
  const Plugin plugin = load("gsm8k_answer");
  EXPECT_EQ(score_of(plugin, item("5+7=12. 12-4=8.\n#### 8", "8")), 1.0);
  EXPECT_EQ(score_of(plugin, item("#### 1,008.00", "1008")), 1.0);
  EXPECT_EQ(score_of(plugin, item("8", "8")), 0.0);
}

TEST(Gsm8kAnswer, OtherNumbersAreNotPaid) {
  const Plugin plugin = load("gsm8k_answer");
  for (const char* text :
       {"#### 9", "#### 7", "#### -8", "#### 80", "#### 0.8", "#### 18", "#### 8.0001", "#### 8/1", "#### 8 or 9"}) {
    EXPECT_EQ(score_of(plugin, item(text, "8")), 0.0) << text;
  }
}

TEST(Gsm8kAnswer, NoAnswerIsAVerdict) {
  const Plugin plugin = load("gsm8k_answer");
  for (const char* text : {"", "I do not know.", "####", "#### eight"})
    EXPECT_EQ(score_of(plugin, item(text, "8")), 0.0) << text;
}

TEST(Gsm8kAnswer, StrictIsTheDefault) {
  EXPECT_EQ(score_of(load("gsm8k_answer"), item("It is 8.", "8")), 0.0);
  EXPECT_EQ(score_of(load("gsm8k_answer", R"({"strict":true})"), item("It is 8.", "8")), 0.0);
  EXPECT_EQ(score_of(load("gsm8k_answer", R"({"strict":false})"), item("It is 8.", "8")), 1.0);
}

TEST(Gsm8kAnswer, CutAnswerIsNotPaid) {
  const Plugin plugin = load("gsm8k_answer");
  EXPECT_EQ(score_of(plugin, item("#### 1", "1", "length")), 0.0);
  EXPECT_EQ(score_of(plugin, item("#### 1\nSo", "1", "length")), 1.0);
  EXPECT_EQ(score_of(plugin, item("#### 1", "1", "abort")), 0.0);
}

TEST(Gsm8kAnswer, ReferenceThatIsNoNumberIsAFailure) {
  const ComponentScore score = judge(load("gsm8k_answer"), item("#### 8", "eight"));
  EXPECT_EQ(score.status, ScoreStatus::kFailed);
  EXPECT_EQ(score.error, "the reference 'eight' is no number; want one, alone or after \"####\"");
}

TEST(Gsm8kAnswer, PartsTellAnsweredFromMarked) {
  const Plugin plugin = load("gsm8k_answer", R"({"strict":false})");
  const ComponentScore marked = judge(plugin, item("#### 9", "8"));
  EXPECT_EQ(part_of(marked, "answered"), 1.0);
  EXPECT_EQ(part_of(marked, "strict"), 1.0);
  const ComponentScore plain = judge(plugin, item("It is 9.", "8"));
  EXPECT_EQ(part_of(plain, "answered"), 1.0);
  EXPECT_EQ(part_of(plain, "strict"), 0.0);
  const ComponentScore none = judge(plugin, item("#### nine", "8"));
  EXPECT_EQ(part_of(none, "answered"), 0.0);
  EXPECT_EQ(part_of(none, "strict"), 0.0);
}

TEST(Gsm8kAnswer, MisspeltOptionIsRefusedWithAHint) {
  try {
    load("gsm8k_answer", R"({"stict":false})");
    FAIL() << "no error";
  } catch (const ConfigError& e) {
    EXPECT_THAT(e.what(),
                HasSubstr("reward plugin gsm8k_answer: options: unknown key 'stict'; did you mean 'strict'?"));
  }
}

TEST(Gsm8kAnswer, EverySolutionOfGsm8kIsRightAndItsNeighbourWrong) {
  const char* data = std::getenv("NOREGRET_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "NOREGRET_TEST_DATA is not set";
  std::vector<ScoreItem> right;
  std::vector<ScoreItem> wrong;
  for (const char* file : {"train.jsonl.gz", "test.jsonl.gz"}) {
    for (const JsonLine& row : read_jsonl(fs::path(data) / "gsm8k" / file)) {
      const std::string solution = json_string(row.value, "answer", file);
      const size_t mark = solution.rfind("####");
      std::string number = solution.substr(mark + 5);
      right.push_back(item(solution, number));
      std::erase(number, ',');
      wrong.push_back(
          item(solution.substr(0, mark) + "#### " + std::to_string(std::stoll(number) + 1), right.back().reference));
    }
  }
  EXPECT_EQ(right.size(), 7473u + 1319u);  // as the data set has it
  const Plugin plugin = load("gsm8k_answer");
  for (const ComponentScore& score : plugin.score(right)) EXPECT_EQ(score.score, 1.0) << score.error;
  for (const ComponentScore& score : plugin.score(wrong)) {
    EXPECT_EQ(score.status, ScoreStatus::kOk) << score.error;
    EXPECT_EQ(score.score, 0.0);
  }
}

// ---- math_answer

TEST(MathAnswer, PaysWhatIsEqualToTheReference) {
  const Plugin plugin = load("math_answer");
  EXPECT_EQ(score_of(plugin, item("Thus \\boxed{\\frac{x+1}{2}}.", "\\frac{x}{2}+0.5")), 1.0);
  EXPECT_EQ(score_of(plugin, item("Thus \\boxed{\\frac{x-1}{2}}.", "\\frac{x}{2}+0.5")), 0.0);
  EXPECT_EQ(score_of(plugin, item("\\boxed{(1, 2)}", "So $\\boxed{(1,2)}$.")), 1.0);
}

TEST(MathAnswer, WantsABox) {
  const Plugin plugin = load("math_answer");
  for (const char* text : {"5", "The answer is 5.", "#### 5", "$5$", "<think>\\boxed{5}"})
    EXPECT_EQ(score_of(plugin, item(text, "5")), 0.0) << text;
  EXPECT_EQ(score_of(load("math_answer", R"({"answer_line":true})"), item("The answer is 5.", "5")), 1.0);
}

TEST(MathAnswer, CutAnswerIsNotPaid) {
  const Plugin plugin = load("math_answer");
  EXPECT_EQ(score_of(plugin, item("\\boxed{5} or \\boxed{5", "5", "length")), 0.0);
  EXPECT_EQ(score_of(plugin, item("\\boxed{5} and", "5", "length")), 1.0);
}

TEST(MathAnswer, ReferenceThatCannotBeReadIsAFailure) {
  for (const char* reference : {"", "\\frac{1}{", "nan"}) {
    const ComponentScore score = judge(load("math_answer"), item("\\boxed{5}", reference));
    EXPECT_EQ(score.status, ScoreStatus::kFailed) << reference;
    EXPECT_THAT(score.error, HasSubstr("is no answer that the grader can read"));
  }
}

TEST(MathAnswer, WorkerThatIsNotThereIsRefusedOrAFailureButNeverAZero) {
  const ComponentScore score =
      judge(load("math_answer", R"({"worker":"/nowhere/worker"})"), item("\\boxed{\\sqrt{8}}", "2\\sqrt2"));
  EXPECT_EQ(score.status, ScoreStatus::kFailed);
  EXPECT_THAT(score.error, HasSubstr("/nowhere/worker: cannot start it"));
}

TEST(MathAnswer, OptionsSayWhatCounts) {
  EXPECT_EQ(score_of(load("math_answer", R"({"require_reduced":true})"), item("\\boxed{\\frac24}", "\\frac12")), 0.0);
  EXPECT_EQ(score_of(load("math_answer", R"({"tolerance_digits":3})"), item("\\boxed{0.333}", "\\frac13")), 1.0);
}

TEST(MathAnswer, PartsTellWhyNothingIsPaid) {
  const Plugin plugin = load("math_answer");
  EXPECT_EQ(part_of(judge(plugin, item("no box", "5")), "answered"), 0.0);
  EXPECT_EQ(part_of(judge(plugin, item("\\boxed{5 5}", "5")), "unparsable"), 1.0);
  EXPECT_EQ(part_of(judge(plugin, item("\\boxed{\\sum_{k=1}^3 k}", "6")), "unknown"), 1.0);
  EXPECT_EQ(part_of(judge(plugin, item("\\boxed{2\\sin x\\cos x}", "\\sin 2x")), "numeric"), 1.0);
}

// ---- format

TEST(Format, WantsOneAnswerLineAtTheEnd) {
  const Plugin plugin = load("format");
  EXPECT_EQ(score_of(plugin, item("5+7=12.\n#### 12", "8")), 1.0);
  for (const char* text : {"", "12", "#### 12\nDone.", "#### 1\n#### 12", "It is #### 12", "#### twelve", "#### $12"}) {
    EXPECT_EQ(score_of(plugin, item(text, "8")), 0.0) << text;
  }
}

TEST(Format, NeedsNoReference) { EXPECT_EQ(score_of(load("format"), item("#### 12", "")), 1.0); }

TEST(Format, CutLineDoesNotCount) { EXPECT_EQ(score_of(load("format"), item("#### 12", "12", "length")), 0.0); }

TEST(Format, StyleIsChecked) {
  EXPECT_EQ(load("format", R"({"style":"gsm8k"})").name(), "format");
  EXPECT_THROW(load("format", R"({"style":"boxed"})"), ConfigError);
}

// ---- length

TEST(Length, CountsWhatItIsTold) {
  const ScoreItem text = item("one two\n\xC3\xA9t\xC3\xA9 ", "");
  EXPECT_EQ(part_of(judge(load("length", R"({"max":1})"), text), "characters"), 12.0);
  EXPECT_EQ(part_of(judge(load("length", R"({"max":1,"unit":"words"})"), text), "words"), 3.0);
  EXPECT_EQ(part_of(judge(load("length", R"({"max":1,"unit":"lines"})"), text), "lines"), 2.0);
  EXPECT_EQ(part_of(judge(load("length", R"({"max":1,"unit":"lines"})"), item("", "")), "lines"), 0.0);
}

TEST(Length, FullMarksFromMinToMax) {
  const Plugin plugin = load("length", R"({"min":2,"max":4})");
  const std::vector<double> want = {0, 0, 1, 1, 1, 0};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(score_of(plugin, item(std::string(i, 'x'), "")), want[i]) << i;
}

TEST(Length, FallsInALineOverTheSlack) {
  const Plugin plugin = load("length", R"({"min":4,"max":4,"slack":4})");
  const std::vector<double> want = {0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(score_of(plugin, item(std::string(i, 'x'), "")), want[i]) << i;
}

TEST(Length, WantsALimitThatMakesSense) {
  for (const char* options : {"{}", R"({"min":5,"max":4})", R"({"max":-1})", R"({"max":1,"unit":"bytes"})"}) {
    EXPECT_THROW(load("length", options), ConfigError) << options;
  }
}

// ---- regex

TEST(Regex, SearchesOrMatchesAll) {
  EXPECT_EQ(score_of(load("regex", R"({"pattern":"b+"})"), item("abc", "")), 1.0);
  EXPECT_EQ(score_of(load("regex", R"({"pattern":"b+","match":"full"})"), item("abc", "")), 0.0);
  EXPECT_EQ(score_of(load("regex", R"({"pattern":"b+","negate":true})"), item("abc", "")), 0.0);
  EXPECT_EQ(score_of(load("regex", R"({"pattern":"b+","negate":true})"), item("ac", "")), 1.0);
}

TEST(Regex, LastMatchIsComparedWithTheReference) {
  const Plugin plugin = load("regex", R"re({"pattern":"<a>(.*?)</a>","equals_reference":true})re");
  EXPECT_EQ(score_of(plugin, item("<a>7</a> no, <a> 8 </a>", "8")), 1.0);
  EXPECT_EQ(score_of(plugin, item("<a>8</a> no, <a>7</a>", "8")), 0.0);
  EXPECT_EQ(score_of(plugin, item("8", "8")), 0.0);
  EXPECT_EQ(part_of(judge(plugin, item("8", "8")), "matched"), 0.0);
  EXPECT_EQ(judge(plugin, item("<a>8</a>", "")).status, ScoreStatus::kFailed);
}

TEST(Regex, EmptyMatchesComeToAnEnd) {
  const Plugin plugin = load("regex", R"re({"pattern":"(x*)","equals_reference":true})re");
  EXPECT_EQ(score_of(plugin, item("ab", "x")), 0.0);
  EXPECT_EQ(score_of(plugin, item("abx", "x")), 0.0);  // the last match is the empty one at the end
  EXPECT_EQ(score_of(load("regex", R"re({"pattern":"^(\\w)","equals_reference":true})re"), item("ab", "a")), 1.0);
}

TEST(Regex, HardPatternsTakeLinearTime) {
  const Plugin plugin = load("regex", R"re({"pattern":"^(a+)+$"})re");
  EXPECT_EQ(score_of(plugin, item(std::string(200000, 'a') + "!", "")), 0.0);
}

TEST(Regex, BadPatternsAreRefusedWithTheReason) {
  const auto refusal = [](const char* options) {
    try {
      load("regex", options);
    } catch (const ConfigError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal("{}"), HasSubstr("pattern is missing"));
  EXPECT_THAT(refusal(R"re({"pattern":"("})re"), HasSubstr("does not compile: missing )"));
  EXPECT_THAT(refusal(R"re({"pattern":"(?=x)"})re"), HasSubstr("without look-around"));
  EXPECT_THAT(refusal(R"re({"pattern":"x","equals_reference":true})re"), HasSubstr("has no group"));
  EXPECT_THAT(refusal(R"re({"pattern":"(x)","equals_reference":true,"negate":true})re"), HasSubstr("do not go"));
  EXPECT_THAT(refusal(R"re({"pattern":"((a{1000}){1000}){1000}"})re"), HasSubstr("does not compile"));
}

}  // namespace
}  // namespace noregret
