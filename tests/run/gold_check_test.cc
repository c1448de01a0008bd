#include "run/gold_check.h"

#include <gmock/gmock.h>

#include "tests/run/run_support.h"

namespace noregret {
namespace {

using testing::HasSubstr;

Rubric rubric_of(const std::string& plugin, const Json& options = Json::object()) {
  RewardOptions reward = reward_of(plugin);
  reward.options = Node::from_json(options, Location{});
  return Rubric({reward}, plugin_dir());
}

TestItem item_of(const std::string& reference, const std::string& gold = "") {
  TestItem test;
  test.item = ScoreItem{"item", "", "", reference, "{}", "stop"};
  test.where = "items.jsonl:1";
  test.gold = gold;
  return test;
}

TEST(GoldCheck, RightAnswersGetFullMarksInSomeForm) {
  for (const char* plugin : {"exact_match", "gsm8k_answer"}) {
    const GoldCheck check = check_gold(rubric_of(plugin), {item_of("18"), item_of("-3"), item_of("1,000")});
    EXPECT_TRUE(check.is_good()) << plugin << testing::PrintToString(check.problems);
    EXPECT_EQ(check.num_full, 3) << plugin;
    EXPECT_EQ(check.num_full, 3) << plugin;
    EXPECT_EQ(check.num_fooled, 0) << plugin;
  }
}

TEST(GoldCheck, RewardThatPaysTheWrongAnswerIsFound) {
  const Rubric rubric({reward_of("lenient")}, fs::path(NOREGRET_BUILD_DIR) / "test_plugins");
  const GoldCheck check = check_gold(rubric, {item_of("18"), item_of("10"), item_of("7")});
  EXPECT_FALSE(check.is_good());
  EXPECT_EQ(check.num_fooled, 2);
  EXPECT_THAT(check.problems, testing::Contains(HasSubstr("the wrong answer '19' gets full marks")));
}

TEST(GoldCheck, RightAnswerWithoutFullMarksIsTold) {
  const GoldCheck check = check_gold(rubric_of("gsm8k_answer"), {item_of("18"), item_of("eighteen")});
  EXPECT_EQ(check.num_full, 1);
  ASSERT_EQ(check.problems.size(), 1u);
  EXPECT_THAT(check.problems[0], HasSubstr("items.jsonl:1: the right answer 'eighteen' gets no score"));
}

TEST(GoldCheck, RewardThatDoesNotLookAtTheReferenceIsNoProblem) {
  const GoldCheck check = check_gold(rubric_of("length", {{"max", 1000}}), {item_of("18"), item_of("19")});
  EXPECT_TRUE(check.ignores_reference);
  EXPECT_TRUE(check.is_good());
  EXPECT_THAT(gold_text(check), HasSubstr("does not tell them apart"));
}

TEST(GoldCheck, GoldCompletionCountsAlone) {
  const Rubric rubric = rubric_of("regex", {{"pattern", "<a>(.*)</a>"}, {"equals_reference", true}});
  EXPECT_FALSE(check_gold(rubric, {item_of("18")}).is_good());
  const GoldCheck check = check_gold(rubric, {item_of("18", "so <a>18</a>")});
  EXPECT_TRUE(check.is_good());
  EXPECT_EQ(check.num_full, 1);
}

TEST(GoldCheck, NothingToCheckIsSaid) {
  const GoldCheck check = check_gold(rubric_of("length", {{"max", 10}}), {item_of("")});
  EXPECT_TRUE(check.is_good());
  EXPECT_THAT(gold_text(check), HasSubstr("no line has a reference"));
}

TEST(GoldCheck, WrongAnswerIsCloseAndAnother) {
  EXPECT_EQ(wrong_answer("18"), "19");
  EXPECT_EQ(wrong_answer("9"), "8");
  EXPECT_EQ(wrong_answer("\\frac{1}{2}"), "\\frac{1}{3}");
  EXPECT_EQ(wrong_answer("5 + 6 = 11\n#### 11"), "5 + 6 = 11\n#### 12");
  EXPECT_EQ(wrong_answer("(C)"), "(D)");
  EXPECT_EQ(wrong_answer("yes"), "yet");
  EXPECT_EQ(wrong_answer("z"), "y");
  EXPECT_EQ(wrong_answer("+"), "+1");
  EXPECT_EQ(wrong_answer(""), "1");
}

}  // namespace
}  // namespace noregret
