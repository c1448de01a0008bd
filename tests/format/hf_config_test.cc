#include "noregret/format/hf_config.h"

#include "noregret/base/json.h"
#include "tests/format/format_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Type = RopeOptions::Type;

// A config.json of transformers 4 in the shape of Llama 2's.
Json base_config() {
  return parse_json(R"({
    "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
    "hidden_size": 64, "intermediate_size": 160, "max_position_embeddings": 4096, "model_type": "llama",
    "num_attention_heads": 4, "num_hidden_layers": 3, "num_key_value_heads": 2, "pretraining_tp": 1,
    "rms_norm_eps": 1e-05, "rope_scaling": null, "tie_word_embeddings": false, "torch_dtype": "float16",
    "transformers_version": "4.31.0", "use_cache": true, "vocab_size": 320})",
                    "base_config");
}

Json with(const std::string& key, Json value) {
  Json config = base_config();
  config[key] = std::move(value);
  return config;
}

Json without(const std::string& key) {
  Json config = base_config();
  config.erase(key);
  return config;
}

HfConfig parse(const Json& config, const std::string& generation = "") {
  return parse_hf_config(config.dump(), generation, "model");
}

std::string parse_error(const Json& config, const std::string& generation = "") {
  return error_of([&] { parse(config, generation); });
}

RopeOptions rope_of(const std::string& key, const std::string& value) {
  return parse(with(key, parse_json(value, "rope"))).rope;
}

std::string rope_error(const std::string& value) {
  return parse_error(with("rope_scaling", parse_json(value, "rope")));
}

// ---- what is read

TEST(HfConfig, ReadsAVersion4Config) {
  const HfConfig config = parse(base_config());
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.intermediate_size, 160);
  EXPECT_EQ(config.num_layers, 3);
  EXPECT_EQ(config.num_heads, 4);
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.vocab_size, 320);
  EXPECT_EQ(config.max_positions, 4096);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.dtype, "float16");
  EXPECT_EQ(config.rope, RopeOptions{});
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2));
  EXPECT_EQ(config.bos_token_id, 1);
}

TEST(HfConfig, ReadsAVersion5Folder) {
  // Written by transformers 5.17.0.
  const HfConfig config = read_hf_config(fs::path(NOREGRET_SOURCE_DIR) / "tests/golden/nn/rope_yarn_attention");
  EXPECT_EQ(config.head_dim, 12);
  EXPECT_EQ(config.dtype, "float32");
  RopeOptions want{.type = Type::kYarn, .theta = 100.0, .factor = 4.0, .original_max_positions = 16};
  want.beta_fast = 2.0;
  want.beta_slow = 0.5;
  want.attention_factor = 1.25;
  EXPECT_EQ(config.rope, want);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2));
}

TEST(HfConfig, AbsentKeysMeanWhatTransformersTakes) {
  EXPECT_EQ(parse(without("num_key_value_heads")).num_kv_heads, 4);
  EXPECT_EQ(parse(without("torch_dtype")).dtype, "float32");
  EXPECT_EQ(parse(without("hidden_act")).hidden_size, 64);
  EXPECT_FALSE(parse(without("tie_word_embeddings")).tie_word_embeddings);
  EXPECT_THAT(parse(without("eos_token_id")).eos_token_ids, IsEmpty());
  EXPECT_EQ(parse(with("bos_token_id", nullptr)).bos_token_id, -1);
  EXPECT_EQ(parse(with("head_dim", nullptr)).head_dim, 16);
}

TEST(HfConfig, HeadDimMayDifferFromHiddenOverHeads) { EXPECT_EQ(parse(with("head_dim", 48)).head_dim, 48); }

TEST(HfConfig, EosOfTheGenerationConfigWins) {
  EXPECT_THAT(parse(base_config(), R"({"eos_token_id": [7, 9]})").eos_token_ids, ElementsAre(7, 9));
  EXPECT_THAT(parse(base_config(), R"({"eos_token_id": 5})").eos_token_ids, ElementsAre(5));
  EXPECT_THAT(parse(base_config(), R"({"eos_token_id": null})").eos_token_ids, ElementsAre(2));
  EXPECT_THAT(parse(base_config(), R"({"bos_token_id": 3})").eos_token_ids, ElementsAre(2));
}

TEST(HfConfig, EosMayBeAList) {
  EXPECT_THAT(parse(with("eos_token_id", {3, 4, 5})).eos_token_ids, ElementsAre(3, 4, 5));
}

TEST(HfConfig, MissingGenerationConfigIsNoError) {
  const TempFolder folder;
  folder.write("config.json", base_config().dump());
  EXPECT_THAT(read_hf_config(folder.path()).eos_token_ids, ElementsAre(2));
  folder.write("generation_config.json", R"({"eos_token_id": 8})");
  EXPECT_THAT(read_hf_config(folder.path()).eos_token_ids, ElementsAre(8));
}

// ---- rotary options

TEST(HfRope, BothVersionsOfTheKeysReadAlike) {
  const RopeOptions want{.type = Type::kLinear, .theta = 500.0, .factor = 4.0};
  EXPECT_EQ(rope_of("rope_parameters", R"({"rope_type": "linear", "factor": 4, "rope_theta": 500})"), want);
  Json config = with("rope_theta", 500.0);
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  EXPECT_EQ(parse(config).rope, want);
}

TEST(HfRope, Llama3IsRead) {
  const RopeOptions rope = rope_of("rope_scaling", R"({"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                                  "original_max_position_embeddings": 8192, "rope_type": "llama3"})");
  const RopeOptions want{.type = Type::kLlama3, .factor = 32.0, .original_max_positions = 8192};
  EXPECT_EQ(rope, want);
}

TEST(HfRope, EmptyParametersAreTheDefault) { EXPECT_EQ(rope_of("rope_parameters", "{}"), RopeOptions{}); }

TEST(HfRope, UnknownTypeIsNamed) {
  EXPECT_THAT(rope_error(R"({"rope_type": "longrope", "factor": 2.0})"),
              AllOf(HasSubstr("rope_type is 'longrope'"), HasSubstr("default linear dynamic llama3 yarn")));
  EXPECT_THAT(rope_error(R"({"type": "linaer", "factor": 2.0})"), HasSubstr("did you mean 'linear'"));
}

TEST(HfRope, KeyThatMayChangeTheRotationIsRefusedByName) {
  EXPECT_THAT(rope_error(R"({"rope_type": "yarn", "factor": 2.0, "mscale": 0.7})"), HasSubstr("'mscale'"));
  EXPECT_THAT(rope_error(R"({"rope_type": "yarn", "factor": 2.0, "truncate": false})"), HasSubstr("truncate"));
  EXPECT_THAT(rope_error(R"({"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5})"),
              HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(parse_error(with("partial_rotary_factor", 0.5)), HasSubstr("partial_rotary_factor"));
}

TEST(HfRope, ContradictoryKeysAreRefused) {
  Json config = with("rope_theta", 500.0);
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
  EXPECT_THAT(parse_error(config), AllOf(HasSubstr("rope_theta"), HasSubstr("contradicts")));
  config = with("rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}});
  config["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}};
  EXPECT_THAT(parse_error(config), AllOf(HasSubstr("rope_scaling"), HasSubstr("contradicts")));
}

TEST(HfRope, NumbersOutOfRangeAreRefused) {
  EXPECT_THAT(rope_error(R"({"rope_type": "linear"})"), HasSubstr("factor is missing"));
  EXPECT_THAT(rope_error(R"({"rope_type": "linear", "factor": 0.5})"), HasSubstr("want at least 1"));
  EXPECT_THAT(rope_error(R"({"rope_type": "linear", "factor": "2"})"), HasSubstr("factor"));
  EXPECT_THAT(rope_error(R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 4.0,
                             "original_max_position_embeddings": 64})"),
              HasSubstr("low_freq_factor is 4"));
  EXPECT_THAT(rope_error(R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0})"),
              HasSubstr("original_max_position_embeddings is missing"));
  EXPECT_THAT(rope_error(R"({"rope_type": "yarn", "factor": 8.0, "beta_fast": 1.0, "beta_slow": 2.0})"),
              HasSubstr("beta_fast is 1"));
  EXPECT_THAT(rope_error(R"({"rope_type": "yarn", "factor": 8.0, "attention_factor": 0.0})"), HasSubstr("more than 0"));
  EXPECT_THAT(parse_error(with("rope_theta", 1.0)), HasSubstr("rope_theta is 1"));
  EXPECT_THAT(parse_error(with("rope_theta", -1.0)), HasSubstr("rope_theta is -1"));
}

// ---- what is refused

TEST(HfConfigRefuses, WhatChangesTheMaths) {
  EXPECT_THAT(parse_error(with("model_type", "qwen2")), HasSubstr("model_type is 'qwen2'"));
  EXPECT_THAT(parse_error(with("attention_bias", true)), HasSubstr("attention_bias is true"));
  EXPECT_THAT(parse_error(with("mlp_bias", true)), HasSubstr("mlp_bias is true"));
  EXPECT_THAT(parse_error(with("hidden_act", "gelu")), HasSubstr("'gelu'"));
  EXPECT_THAT(parse_error(with("architectures", {"LlamaForSequenceClassification"})),
              HasSubstr("'LlamaForSequenceClassification'"));
  EXPECT_THAT(parse_error(with("quantization_config", {{"quant_method", "awq"}})), HasSubstr("quantization_config"));
  EXPECT_THAT(parse_error(with("torch_dtype", "float8_e4m3fn")), HasSubstr("'float8_e4m3fn'"));
}

TEST(HfConfigRefuses, EachMissingSizeByName) {
  for (const char* key : {"model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "vocab_size", "max_position_embeddings", "rms_norm_eps"}) {
    EXPECT_THAT(parse_error(without(key)),
                AllOf(HasSubstr("model/config.json"), HasSubstr(key), HasSubstr("is missing")));
    EXPECT_THAT(parse_error(with(key, nullptr)), HasSubstr("is missing"));
  }
}

TEST(HfConfigRefuses, NumbersOutOfRange) {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "vocab_size", "max_position_embeddings"}) {
    for (const Json& value : {Json(0), Json(-1), Json(int64_t{1} << 40), Json(UINT64_MAX), Json(4.5), Json("4")}) {
      EXPECT_THAT(parse_error(with(key, value)), HasSubstr(key)) << value.dump();
    }
  }
  EXPECT_THAT(parse_error(with("num_hidden_layers", 1025)), HasSubstr("want 1 to 1024"));
  EXPECT_THAT(parse_error(with("rms_norm_eps", 0.0)), HasSubstr("more than 0"));
  EXPECT_THAT(parse_error(with("rms_norm_eps", 1.0)), HasSubstr("less than 1"));
}

TEST(HfConfigRefuses, SizesThatDoNotFit) {
  EXPECT_THAT(parse_error(with("num_key_value_heads", 3)), AllOf(HasSubstr("is 3"), HasSubstr("does not divide")));
  EXPECT_THAT(parse_error(with("num_key_value_heads", 8)), HasSubstr("does not divide"));
  EXPECT_THAT(parse_error(with("hidden_size", 66)), AllOf(HasSubstr("head_dim is missing"), HasSubstr("66")));
  EXPECT_THAT(parse_error(with("hidden_size", 20)), AllOf(HasSubstr("head_dim is 5"), HasSubstr("even")));
  EXPECT_THAT(parse_error(with("head_dim", 15)), HasSubstr("even"));
}

TEST(HfConfigRefuses, MoreElementsThanAnyModelHas) {
  Json config = with("hidden_size", 1 << 20);
  config["vocab_size"] = 1 << 24;
  EXPECT_THAT(parse_error(config), HasSubstr("more elements than any model has"));
}

TEST(HfConfigRefuses, TokenIdsOutsideTheVocabulary) {
  EXPECT_THAT(parse_error(with("eos_token_id", 320)),
              AllOf(HasSubstr("eos_token_id holds 320"), HasSubstr("0 to 319")));
  EXPECT_THAT(parse_error(with("eos_token_id", {1, -1})), HasSubstr("holds -1"));
  EXPECT_THAT(parse_error(with("eos_token_id", "</s>")), HasSubstr("'</s>'"));
  EXPECT_THAT(parse_error(with("bos_token_id", {1, 2})), HasSubstr("want one id"));
  EXPECT_THAT(parse_error(base_config(), R"({"eos_token_id": 320})"), HasSubstr("model/generation_config.json"));
}

TEST(HfConfigRefuses, WhatIsNoJsonObject) {
  EXPECT_THAT(error_of([] { parse_hf_config("[]", "", "model"); }), HasSubstr("no JSON object"));
  EXPECT_THAT(error_of([] { parse_hf_config("{", "", "model"); }), HasSubstr("not JSON"));
  EXPECT_THAT(error_of([] { parse_hf_config("", "", "model"); }), HasSubstr("not JSON"));
}

TEST(HfConfigRefuses, FolderWithoutConfig) {
  const TempFolder folder;
  EXPECT_THAT(error_of([&] { read_hf_config(folder.path()); }), HasSubstr("config.json: no such file"));
  EXPECT_THAT(error_of([&] { read_hf_config(folder.path() / "none"); }), HasSubstr("none: no such folder"));
}

// ---- what is written

bool is_equal(const HfConfig& a, const HfConfig& b) {
  return write_hf_config(a) == write_hf_config(b) && a.rope == b.rope && a.eos_token_ids == b.eos_token_ids &&
         a.bos_token_id == b.bos_token_id && a.dtype == b.dtype;
}

TEST(HfConfigWriter, EveryRopeTypeReadsBack) {
  HfConfig config = parse(base_config());
  for (const Type type : {Type::kDefault, Type::kLinear, Type::kDynamic, Type::kLlama3, Type::kYarn}) {
    config.rope = RopeOptions{.type = type, .theta = 1234.5};
    if (type != Type::kDefault) config.rope.factor = 1.75;
    if (type == Type::kDynamic || type == Type::kLlama3 || type == Type::kYarn)
      config.rope.original_max_positions = 512;
    if (type == Type::kYarn) config.rope.attention_factor = 1.5;
    EXPECT_TRUE(is_equal(parse_hf_config(write_hf_config(config), "", "written"), config)) << write_hf_config(config);
  }
}

TEST(HfConfigWriter, TokenIdsReadBackFromBothFiles) {
  HfConfig config = parse(base_config());
  for (const std::vector<int64_t>& eos : {std::vector<int64_t>{}, {2}, {2, 7}}) {
    config.eos_token_ids = eos;
    config.bos_token_id = eos.empty() ? -1 : 0;
    const HfConfig read = parse_hf_config(write_hf_config(config), write_generation_config(config), "written");
    EXPECT_EQ(read.eos_token_ids, eos);
    EXPECT_EQ(read.bos_token_id, config.bos_token_id);
  }
}

TEST(HfConfigWriter, UsesTheKeysThatVersions4And5BothRead) {
  HfConfig config = parse(base_config());
  config.rope = RopeOptions{.type = Type::kLlama3, .theta = 500000.0, .factor = 32.0, .original_max_positions = 8192};
  const Json written = parse_json(write_hf_config(config), "written");
  EXPECT_EQ(written["architectures"], Json::array({"LlamaForCausalLM"}));
  EXPECT_EQ(written["rope_theta"], 500000.0);
  EXPECT_EQ(written["rope_scaling"]["rope_type"], "llama3");
  EXPECT_EQ(written["torch_dtype"], "float16");
  EXPECT_FALSE(written.contains("rope_parameters"));
}

}  // namespace
}  // namespace noregret
