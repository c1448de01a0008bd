#include "noregret/format/peft_config.h"

#include <cmath>

#include "noregret/base/json.h"
#include "tests/format/format_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The keys that every loader needs.
Json base_config() {
  return parse_json(R"({"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "r": 8,
                        "lora_alpha": 20, "lora_dropout": 0.05, "bias": "none", "target_modules": ["q_proj", "v_proj"],
                        "modules_to_save": null})",
                    "base_config");
}

Json with(const std::string& key, Json value) {
  Json config = base_config();
  config[key] = std::move(value);
  return config;
}

PeftConfig parse(const Json& config) { return parse_peft_config(config.dump(), "adapter_config.json"); }
std::string parse_error(const Json& config) {
  const std::string message = error_of([&] { parse(config); });
  EXPECT_THAT(message, HasSubstr("adapter_config.json"));
  return message;
}

TEST(PeftConfig, ReadsTheShortestUsefulFile) {
  const PeftConfig config = parse(base_config());
  EXPECT_EQ(config.base_model, "base");
  EXPECT_EQ(config.rank, 8);
  EXPECT_EQ(config.alpha, 20.0);
  EXPECT_FALSE(config.use_rslora);
  EXPECT_THAT(config.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_THAT(config.rank_pattern, IsEmpty());
  EXPECT_THAT(config.alpha_pattern, IsEmpty());
}

TEST(PeftConfig, ReadsWhatPeftWrote) {
  // Written by PEFT 0.21.2, with all its keys.
  const fs::path path = fs::path(NOREGRET_SOURCE_DIR) / "tests/golden/nn/adapter_patterns/adapter_config.json";
  const PeftConfig config = parse_peft_config(read_file(path), path.string());
  EXPECT_TRUE(config.use_rslora);
  EXPECT_EQ(config.rank, 2);
  EXPECT_EQ(config.rank_pattern.at("down_proj"), 4);
  EXPECT_EQ(config.alpha_pattern.at("layers.1.mlp.down_proj"), 7.0);
}

TEST(PeftConfig, AbsentBaseModelAndTaskAreFine) {
  Json config = base_config();
  config.erase("task_type");
  config["base_model_name_or_path"] = nullptr;
  EXPECT_EQ(parse(config).base_model, "");
}

TEST(PeftConfig, FractionalAlphaIsKept) { EXPECT_EQ(parse(with("lora_alpha", 22.627417)).alpha, 22.627417); }

TEST(PeftConfig, OptionsThatAreOffAreFine) {
  for (const Json& off : {Json(nullptr), Json(false), Json::array(), Json::object(), Json("")}) {
    EXPECT_EQ(parse(with("some_new_option", off)).rank, 8) << off.dump();
  }
}

TEST(PeftConfig, InitializationsThatKeepTheBaseAreFine) {
  for (const Json& init : {Json(true), Json(false), Json("gaussian"), Json("orthogonal"), Json("eva")}) {
    EXPECT_EQ(parse(with("init_lora_weights", init)).rank, 8) << init.dump();
  }
}

TEST(PeftConfigRefuses, OtherAdapterKinds) {
  EXPECT_THAT(parse_error(with("peft_type", "IA3")), HasSubstr("peft_type is 'IA3'"));
  EXPECT_THAT(parse_error(with("peft_type", nullptr)), HasSubstr("peft_type is missing"));
  EXPECT_THAT(parse_error(with("task_type", "SEQ_CLS")), HasSubstr("'SEQ_CLS'"));
}

TEST(PeftConfigRefuses, WhatChangesTheMathsByName) {
  EXPECT_THAT(parse_error(with("use_dora", true)), HasSubstr("use_dora is true"));
  EXPECT_THAT(parse_error(with("bias", "lora_only")), HasSubstr("'lora_only'"));
  EXPECT_THAT(parse_error(with("lora_bias", true)), HasSubstr("lora_bias"));
  EXPECT_THAT(parse_error(with("fan_in_fan_out", true)), HasSubstr("fan_in_fan_out"));
  EXPECT_THAT(parse_error(with("modules_to_save", {"embed_tokens"})), HasSubstr("modules_to_save"));
  EXPECT_THAT(parse_error(with("layers_to_transform", {0, 1})), HasSubstr("layers_to_transform"));
  EXPECT_THAT(parse_error(with("layers_to_transform", 0)), HasSubstr("layers_to_transform is 0"));
  EXPECT_THAT(parse_error(with("layer_replication", {{0, 2}})), HasSubstr("layer_replication"));
  EXPECT_THAT(parse_error(with("target_parameters", {"experts"})), HasSubstr("target_parameters"));
  EXPECT_THAT(parse_error(with("trainable_token_indices", {3})), HasSubstr("trainable_token_indices"));
  EXPECT_THAT(parse_error(with("exclude_modules", {"q_proj"})), HasSubstr("exclude_modules"));
  EXPECT_THAT(parse_error(with("alora_invocation_tokens", {1})), HasSubstr("alora_invocation_tokens"));
  EXPECT_THAT(parse_error(with("some_new_option", 3)), HasSubstr("some_new_option is 3"));
}

TEST(PeftConfigRefuses, InitializationsThatChangeTheBase) {
  for (const char* init : {"pissa", "pissa_niter_16", "olora", "loftq", "corda", "lora_ga", "something_new"}) {
    EXPECT_THAT(parse_error(with("init_lora_weights", init)), HasSubstr(init));
  }
}

TEST(PeftConfigRefuses, BadAlpha) {
  for (const Json& alpha : {Json(nullptr), Json(0), Json(-4), Json("32"), Json(true)}) {
    EXPECT_THAT(parse_error(with("lora_alpha", alpha)), HasSubstr("lora_alpha")) << alpha.dump();
  }
  Json absent = base_config();
  absent.erase("lora_alpha");
  EXPECT_THAT(parse_error(absent), HasSubstr("lora_alpha is missing"));
}

TEST(PeftConfigRefuses, AlphaThatIsNotANumber) {
  // Python writes NaN and Infinity bare; 1e999 is read as infinity by most parsers.
  for (const char* alpha : {"NaN", "Infinity", "1e999"}) {
    const std::string text =
        std::string(R"({"peft_type":"LORA","r":8,"target_modules":["q_proj"],"lora_alpha":)") + alpha + "}";
    EXPECT_THAT(error_of([&] { parse_peft_config(text, "adapter_config.json"); }), HasSubstr("adapter_config.json"));
  }
}

TEST(PeftConfigRefuses, BadRank) {
  for (const Json& rank : {Json(nullptr), Json(0), Json(-1), Json(2.5), Json("8"), Json(int64_t{1} << 40)}) {
    EXPECT_THAT(parse_error(with("r", rank)), HasSubstr("r")) << rank.dump();
  }
}

TEST(PeftConfigRefuses, TargetsThatAreNoNames) {
  EXPECT_THAT(parse_error(with("target_modules", "all-linear")), HasSubstr("'all-linear'"));
  EXPECT_THAT(parse_error(with("target_modules", Json::array())), HasSubstr("no list or empty"));
  EXPECT_THAT(parse_error(with("target_modules", {1})), HasSubstr("holds 1"));
  EXPECT_THAT(parse_error(with("target_modules", nullptr)), HasSubstr("target_modules is missing"));
}

TEST(PeftConfigRefuses, BadPatterns) {
  EXPECT_THAT(parse_error(with("rank_pattern", {{"q_proj", 0}})),
              AllOf(HasSubstr("rank_pattern"), HasSubstr("q_proj is 0")));
  EXPECT_THAT(parse_error(with("alpha_pattern", {{"q_proj", 0.0}})),
              AllOf(HasSubstr("alpha_pattern"), HasSubstr("q_proj")));
  EXPECT_THAT(parse_error(with("rank_pattern", {"q_proj"})), HasSubstr("no JSON object"));
}

TEST(PeftConfigWriter, ReadsBack) {
  PeftConfig config;
  config.base_model = "some/base";
  config.rank = 3;
  config.alpha = 20.5;
  config.target_modules = {"q_proj", "lm_head"};
  config.rank_pattern = {{"q_proj", 5}};
  config.alpha_pattern = {{"lm_head", 7.25}};
  const PeftConfig read = parse_peft_config(write_peft_config(config), "written");
  EXPECT_EQ(read.base_model, config.base_model);
  EXPECT_EQ(read.rank, 3);
  EXPECT_EQ(read.alpha, 20.5);
  EXPECT_EQ(read.target_modules, config.target_modules);
  EXPECT_EQ(read.rank_pattern, config.rank_pattern);
  EXPECT_EQ(read.alpha_pattern, config.alpha_pattern);
}

TEST(PeftConfigWriter, WholeAlphaIsAnInteger) {
  // Servers declare lora_alpha as an integer.
  PeftConfig config;
  config.target_modules = {"q_proj"};
  EXPECT_TRUE(parse_json(write_peft_config(config), "written")["lora_alpha"].is_number_integer());
}

TEST(PeftConfigWriter, RsLoraBecomesAnAlphaOfTheSameScale) {
  PeftConfig config;
  config.rank = 7;
  config.alpha = 5.0;
  config.use_rslora = true;
  config.target_modules = {"q_proj"};
  const PeftConfig read = parse_peft_config(write_peft_config(config), "written");
  EXPECT_FALSE(read.use_rslora);
  EXPECT_DOUBLE_EQ(read.alpha / 7.0, 5.0 / std::sqrt(7.0));
}

TEST(PeftConfigWriter, NeverWritesABrokenScale) {
  PeftConfig config;
  config.target_modules = {"q_proj"};
  for (const double alpha : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    config.alpha = alpha;
    EXPECT_THROW(write_peft_config(config), std::logic_error) << alpha;
  }
}

}  // namespace
}  // namespace noregret
