#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/config/run_config.h"
#include "noregret/config/yaml.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RunConfig read(const std::string& text) { return read_run_config(parse_yaml(text, "c.yaml")); }

constexpr const char* kRl = "model: {path: base}\ntask: {name: word_problems}\nrewards: [{plugin: gsm8k_answer}]\n";

TEST(ResolvedConfig, ComesBackThroughYaml) {
  RunConfig config = read(std::string(kRl) + "optimizer: {lr: 2e-3, eps: 1e-9}\nseed: 18446744073709551615\n");
  config.adapter->targets = {"q_proj", "1e3", "none", "true"};
  config.task = Node::from_json({{"name", "x"},
                                 {"a", "1e3"},
                                 {"b", "none"},
                                 {"c", "true"},
                                 {"d", ""},
                                 {"e", "a: b"},
                                 {"f", "#x"},
                                 {"g", nullptr},
                                 {"h", 0.1},
                                 {"i", 3},
                                 {"j", {1, "2", {{"k", false}}}},
                                 {"l", "~"},
                                 {"m", "null"}},
                                Location{});
  config.rewards[0].name = "#1: a";
  config.rewards[0].options = Node::from_json({{"text", "line\nline \"quoted\"\t"}}, Location{});
  config.model.path = "/a b/\xc3\xbc: c";
  const Json written = write_fields(config);
  const RunConfig back = read_run_config(parse_yaml(to_yaml(written), "config.resolved.yaml"));
  EXPECT_EQ(write_fields(back).dump(), written.dump());
  EXPECT_EQ(back.seed, UINT64_MAX);
  EXPECT_EQ(back.optimizer.lr, "2e-3");
}

TEST(ResolvedConfig, KeepsAdapterNone) {
  const RunConfig config = read(std::string(kRl) + "adapter: none\n");
  EXPECT_THAT(to_yaml(write_fields(config)), HasSubstr("adapter: none\n"));
  EXPECT_FALSE(read_run_config(parse_yaml(to_yaml(write_fields(config)), "r")).adapter);
}

TEST(ResolvedConfig, OfSftIsReadAgain) {
  const RunConfig config = read("mode: sft\nmodel: {path: base}\ndata: {path: rows.jsonl}\n");
  const RunConfig back = read_run_config(parse_yaml(to_yaml(write_fields(config)), "r"));
  EXPECT_EQ(back.objective.name, "cross_entropy");
  EXPECT_THAT(differing_keys(write_fields(config), write_fields(back)), IsEmpty());
}

TEST(DifferingKeys, AreDottedAndInOrder) {
  const Json a = {
      {"seed", 1}, {"optimizer", {{"lr", "auto"}, {"eps", 0.5}}}, {"rewards", {{{"weight", 1.0}}, {{"weight", 2.0}}}}};
  Json b = a;
  EXPECT_THAT(differing_keys(a, b), IsEmpty());
  b["seed"] = 2;
  b["optimizer"]["lr"] = "1e-3";
  b["rewards"][1]["weight"] = 3.0;
  EXPECT_THAT(differing_keys(a, b), ElementsAre("seed", "optimizer.lr", "rewards[1].weight"));
}

TEST(DifferingKeys, SeeKeysOfOneSideOnly) {
  EXPECT_THAT(differing_keys({{"a", 1}, {"b", 2}}, {{"b", 2}, {"c", {{"d", 1}}}}), ElementsAre("a", "c"));
  EXPECT_THAT(differing_keys({{"a", {{"x", 1}, {"y", 2}}}}, {{"a", {{"x", 1}}}}), ElementsAre("a.y"));
}

TEST(DifferingKeys, NameAListWhoseLengthChanged) {
  EXPECT_THAT(differing_keys({{"rewards", {1, 2}}}, {{"rewards", {1}}}), ElementsAre("rewards"));
  EXPECT_THAT(differing_keys({{"adapter", {{"rank", 1}}}}, {{"adapter", "none"}}), ElementsAre("adapter"));
}

TEST(DifferingKeys, TakeOneAndOnePointZeroForEqual) {
  EXPECT_THAT(differing_keys({{"a", 1}, {"b", {1, 2}}}, {{"a", 1.0}, {"b", {1.0, 2.0}}}), IsEmpty());
  EXPECT_THAT(differing_keys({{"a", "1"}}, {{"a", 1}}), ElementsAre("a"));
}

}  // namespace
}  // namespace noregret
