#include "noregret/reward/rubric.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/reward/reward_support.h"

namespace noregret {
namespace {

using reward_support::config_error;
using reward_support::item;
using reward_support::kTestPlugins;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

RewardOptions reward(const std::string& plugin, double weight = 1.0, const std::string& name = "") {
  RewardOptions options;
  options.plugin = plugin;
  options.name = name;
  options.weight = weight;
  return options;
}

Node map_node(const std::string& key, const std::string& value, const Location& location) {
  Node node;
  node.kind = Node::Kind::kMap;
  node.location = location;
  Node scalar;
  scalar.kind = Node::Kind::kScalar;
  scalar.scalar = value;
  scalar.location = location;
  node.map.emplace_back(key, scalar);
  return node;
}

RubricResult score_one(const Rubric& rubric, const ScoreItem& one) { return rubric.score({&one, 1}).at(0); }

TEST(Rubric, RewardIsTheWeightedSum) {
  const Rubric rubric({reward("plain_c", 2.0), reward("sdk_faults", -0.5)}, kTestPlugins);
  const RubricResult result = score_one(rubric, item("xx", "xxxx"));
  EXPECT_EQ(result.status, ScoreStatus::kOk);
  EXPECT_EQ(result.reward, 2.0 * 0.5 - 0.5 * 1.0);
  ASSERT_EQ(result.breakdown.size(), 2u);
  EXPECT_EQ(result.breakdown[0].score, 0.5);
  EXPECT_EQ(result.breakdown[1].score, 1.0);
}

TEST(Rubric, ResultsFollowTheItems) {
  const Rubric rubric({reward("plain_c")}, kTestPlugins);
  const std::vector<ScoreItem> items = {item("x", "xxxx"), item("", ""), item("xxx", "xxxx")};
  const std::vector<RubricResult> results = rubric.score(items);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].reward, 0.25);
  EXPECT_EQ(results[1].status, ScoreStatus::kFailed);
  EXPECT_EQ(results[2].reward, 0.75);
}

TEST(Rubric, NoItemsGiveNoResults) { EXPECT_TRUE(Rubric({reward("plain_c")}, kTestPlugins).score({}).empty()); }

TEST(Rubric, FailureOfAComponentIsNoNumber) {
  const Rubric rubric({reward("sdk_faults"), reward("faults", 0.1)}, kTestPlugins);
  const RubricResult result = score_one(rubric, item("nan"));
  EXPECT_EQ(result.status, ScoreStatus::kFailed);
  EXPECT_EQ(result.reward, 0.0);
  EXPECT_EQ(result.error, "faults: reward is nan, want a finite number");
  EXPECT_EQ(result.breakdown[0].status, ScoreStatus::kOk);
  EXPECT_EQ(result.breakdown[1].status, ScoreStatus::kFailed);
}

TEST(Rubric, ErrorNamesEveryFailedComponent) {
  const Rubric rubric({reward("plain_c", 1.0, "first"), reward("plain_c", 1.0, "second")}, kTestPlugins);
  EXPECT_EQ(score_one(rubric, item("x")).error,
            "first: no reference to measure by; second: no reference to measure by");
}

TEST(Rubric, WeightZeroIsAMetricOnly) {
  const Rubric rubric({reward("plain_c"), reward("sdk_faults", 0.0)}, kTestPlugins);
  const RubricResult result = score_one(rubric, item("xx", "xxxx"));
  EXPECT_EQ(result.reward, 0.5);
  EXPECT_EQ(result.breakdown[1].score, 1.0);
}

TEST(Rubric, FailureOfAMetricDoesNotFailTheSample) {
  const Rubric rubric({reward("sdk_faults"), reward("plain_c", 0.0)}, kTestPlugins);
  const RubricResult result = score_one(rubric, item("x", ""));
  EXPECT_EQ(result.status, ScoreStatus::kOk);
  EXPECT_EQ(result.reward, 1.0);
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.breakdown[1].status, ScoreStatus::kFailed);
}

TEST(Rubric, InfiniteSumIsAFailure) {
  const double huge = std::numeric_limits<double>::max();
  const Rubric rubric({reward("sdk_faults", huge, "a"), reward("sdk_faults", huge, "b")}, kTestPlugins);
  const RubricResult result = score_one(rubric, item("x"));
  EXPECT_EQ(result.status, ScoreStatus::kFailed);
  EXPECT_THAT(result.error, HasSubstr("weighted sum is inf"));
}

TEST(Rubric, ComponentsAreNamedByPluginOrOption) {
  const Rubric rubric({reward("plain_c"), reward("plain_c", 0.5, "again")}, kTestPlugins);
  EXPECT_THAT(rubric.component_names(), ElementsAre("plain_c", "again"));
  EXPECT_EQ(rubric.scorers().size(), 2u);
}

TEST(Rubric, TwoComponentsOfOneNameAreRefused) {
  EXPECT_THAT(config_error([] {
                Rubric({reward("plain_c"), reward("plain_c")}, kTestPlugins);
              }),
              AllOf(HasSubstr("'plain_c'"), HasSubstr("`name:`")));
  EXPECT_NE(config_error([] { Rubric({reward("plain_c"), reward("sdk_faults", 1.0, "plain_c")}, kTestPlugins); }), "");
}

TEST(Rubric, NameMustFitIntoMetrics) {
  for (const char* name : {"a/b", "two words", "\xC3\xA9"}) {
    EXPECT_THAT(config_error([&] { Rubric({reward("plain_c", 1.0, name)}, kTestPlugins); }), HasSubstr("A-Z a-z 0-9"));
  }
}

TEST(Rubric, NoRewardsAreAnError) {
  EXPECT_THAT(config_error([] { Rubric({}, kTestPlugins); }), HasSubstr("rewards is empty"));
}

TEST(Rubric, WeightMustBeFinite) {
  EXPECT_THAT(config_error([] { Rubric({reward("plain_c", std::nan(""))}, kTestPlugins); }),
              HasSubstr("weight is nan"));
}

TEST(Rubric, ErrorOfThePluginSaysWhereItsOptionsStand) {
  RewardOptions options = reward("plain_c");
  options.options = map_node("x", "1", Location{"run.yaml", 14, 5});
  EXPECT_EQ(config_error([&] { Rubric({options}, kTestPlugins); }),
            "run.yaml:14:5: reward plugin plain_c: plain_c takes no options");
}

TEST(Rubric, OptionsReachThePluginAsJson) {
  RewardOptions options = reward("sdk_faults");
  options.options = map_node("flag", "false", Location{"run.yaml", 2, 3});
  EXPECT_THAT(config_error([&] { Rubric({options}, kTestPlugins); }), HasSubstr(R"({"flag":false})"));
}

TEST(Rubric, OptionsAreAMap) {
  RewardOptions options = reward("plain_c");
  options.options.kind = Node::Kind::kList;
  EXPECT_THAT(config_error([&] { Rubric({options}, kTestPlugins); }), HasSubstr("no map"));
}

TEST(Rubric, MissingPluginIsReportedAsIs) {
  EXPECT_THAT(config_error([] { Rubric({reward("plain_cc")}, kTestPlugins); }), HasSubstr("did you mean 'plain_c'?"));
}

}  // namespace
}  // namespace noregret
