#include "noregret/format/gguf_import.h"

#include <cmath>
#include <numbers>

#include "format/gguf_parts.h"
#include "tests/format/gguf_llama.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// ---- weights

TEST(GgufImport, WeightsAreThoseOfTheModelThatWasConverted) {
  // tests/golden/format/make_goldens.py: written by gguf with permuted q and k rows; transformers undoes it the same
  // way.
  const TempFolder folder;
  import_gguf(golden_dir() / "tiny_llama.gguf", folder.path() / "out", "f32");
  EXPECT_EQ(read_file(folder.path() / "out/model.safetensors"), read_file(golden_dir() / "tiny_llama.safetensors"));
  const HfConfig config = read_hf_config(folder.path() / "out");
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);  // not 9.999999747378752e-06
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.dtype, "float32");
}

TEST(GgufImport, TensorWithoutAnOutputLayerIsTied) {
  const TempFolder folder;
  const Imported tied = imported(folder, tiny_llama());
  EXPECT_TRUE(tied.config.tie_word_embeddings);
  EXPECT_EQ(tied.weights.find("lm_head.weight"), nullptr);
}

TEST(GgufImport, Bf16RoundsToNearestEven) {
  const TempFolder folder;
  const Imported model = imported(folder, tiny_llama(1.0f + 0x1p-7f + 0x1p-8f), "bf16");
  EXPECT_EQ(model.config.dtype, "bfloat16");
  EXPECT_EQ(model.weights.find("model.norm.weight")->dtype, DType::kBF16);
  EXPECT_EQ(read_bytes(model.weights, "model.norm.weight").substr(0, 2), little_endian(0x3F82, 2));
}

TEST(GgufImport, NonFiniteWeightIsNamed) {
  EXPECT_THAT(import_error(tiny_llama(std::nanf(""))), HasSubstr("holds NaN or infinity"));
  const TempFolder folder;
  const fs::path path = folder.write("x.gguf", tiny_llama(3.4e38f).bytes());  // infinite in bf16 only
  EXPECT_THAT(error_of([&] { import_gguf(path, folder.path() / "out", "bf16"); }), HasSubstr("infinity"));
}

TEST(GgufImport, MissingTensorIsNamed) {
  for (const char* name : {"blk.0.ffn_up.weight", "token_embd.weight", "output_norm.weight"}) {
    GgufBuilder builder = tiny_llama();
    builder.erase_tensor(name);
    EXPECT_THAT(import_error(builder), AllOf(HasSubstr("holds no tensor"), HasSubstr(name)));
  }
}

TEST(GgufImport, SurplusTensorIsNamed) {
  GgufBuilder builder = tiny_llama();
  builder.tensor("blk.0.attn_q.bias", {8}, kTensorF32, std::string(32, '\0'));
  EXPECT_THAT(import_error(builder), HasSubstr("'blk.0.attn_q.bias'"));
}

TEST(GgufImport, WrongShapeIsNamedWithBothShapes) {
  GgufBuilder builder = tiny_llama();
  builder.erase_tensor("blk.0.attn_k.weight");
  builder.tensor("blk.0.attn_k.weight", {8, 8}, kTensorF32, std::string(256, '\0'));
  EXPECT_THAT(import_error(builder),
              AllOf(HasSubstr("'blk.0.attn_k.weight'"), HasSubstr("[8, 8]"), HasSubstr("[4, 8]")));
}

// ---- config

TEST(GgufImport, OtherArchitectureIsNamed) {
  GgufBuilder builder = tiny_llama();
  builder.text("general.architecture", "qwen2");
  EXPECT_THAT(import_error(builder), HasSubstr("'qwen2'"));
}

TEST(GgufImport, MissingSizeIsNamed) {
  for (const char* key :
       {"llama.block_count", "llama.context_length", "llama.embedding_length", "llama.feed_forward_length",
        "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon"}) {
    GgufBuilder builder = tiny_llama();
    builder.erase(key);
    EXPECT_THAT(import_error(builder), AllOf(HasSubstr(key), HasSubstr("missing")));
  }
}

TEST(GgufImport, SizesThatDoNotFitAreRefused) {
  GgufBuilder builder = tiny_llama();
  builder.integer("llama.attention.head_count", 0);
  EXPECT_THAT(import_error(builder), HasSubstr("head_count is 0"));
  builder = tiny_llama();
  builder.integer("llama.block_count", 4000000000u);
  EXPECT_THAT(import_error(builder), HasSubstr("num_hidden_layers is 4000000000"));
  builder = tiny_llama();
  builder.number("llama.attention.layer_norm_rms_epsilon", std::nanf(""));
  EXPECT_THAT(import_error(builder), HasSubstr("rms_norm_eps"));
}

TEST(GgufImport, KeysThatMayChangeTheMathsAreRefusedByName) {
  GgufBuilder builder = tiny_llama();
  builder.integer("llama.expert_count", 8);
  EXPECT_THAT(import_error(builder), HasSubstr("llama.expert_count"));
  builder = tiny_llama();
  builder.integer("llama.attention.sliding_window", 4096);
  EXPECT_THAT(import_error(builder), HasSubstr("llama.attention.sliding_window"));
  builder = tiny_llama();
  builder.integer("llama.rope.dimension_count", 2);
  EXPECT_THAT(import_error(builder), AllOf(HasSubstr("rope.dimension_count is 2"), HasSubstr("want 4")));
}

TEST(GgufImport, RopeScalingIsCarriedOver) {
  const TempFolder folder;
  GgufBuilder builder = tiny_llama();
  builder.text("llama.rope.scaling.type", "linear");
  builder.number("llama.rope.scaling.factor", 4.0f);
  EXPECT_EQ(imported(folder, builder).config.rope, (RopeOptions{.type = RopeOptions::Type::kLinear, .factor = 4.0}));
  builder.text("llama.rope.scaling.type", "yarn");
  builder.integer("llama.rope.scaling.original_context_length", 16);
  EXPECT_EQ(imported(folder, builder).config.rope,
            (RopeOptions{.type = RopeOptions::Type::kYarn, .factor = 4.0, .original_max_positions = 16}));
  builder.text("llama.rope.scaling.type", "longrope");
  EXPECT_THAT(import_error(builder), HasSubstr("'longrope'"));
}

// The factors as llama.cpp's converter works them out for Llama 3.x: by the wavelength of each frequency.
std::vector<float> llama3_factors(double theta, int64_t head_dim, double factor) {
  std::vector<float> factors;
  for (int64_t i = 0; i < head_dim; i += 2) {
    const double wavelength =
        2 * std::numbers::pi * std::pow(theta, static_cast<double>(i) / static_cast<double>(head_dim));
    const double smooth = (8192 / wavelength - 1.0) / (4.0 - 1.0);
    if (wavelength < 8192 / 4.0) {
      factors.push_back(1.0f);
    } else if (wavelength > 8192 / 1.0) {
      factors.push_back(static_cast<float>(factor));
    } else {
      factors.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
    }
  }
  return factors;
}

TEST(GgufImport, Llama3FactorsAreRecognised) {
  const TempFolder folder;
  for (const double factor : {8.0, 32.0}) {
    GgufBuilder builder = tiny_llama();
    builder.number("llama.rope.freq_base", 3e7f);  // puts a frequency of four into the range between
    const std::vector<float> factors = llama3_factors(3e7, 4, factor);
    builder.tensor("rope_freqs.weight", {2}, kTensorF32, bytes_of(factors));
    EXPECT_EQ(imported(folder, builder).config.rope,
              (RopeOptions{
                  .type = RopeOptions::Type::kLlama3, .theta = 3e7, .factor = factor, .original_max_positions = 8192}));
  }
}

TEST(GgufImport, FactorsInTheInterpolatedRangeAreRecognised) {
  // theta 500000 and heads of 64 as in Llama 3.2 1B: 15 kept, 4 between, 13 divided by 32.
  GgufBuilder builder = tiny_llama();
  builder.integer("llama.attention.key_length", 64);
  builder.integer("llama.attention.value_length", 64);
  builder.number("llama.rope.freq_base", 500000.0f);
  builder.tensor("rope_freqs.weight", {32}, kTensorF32, bytes_of(llama3_factors(500000.0, 64, 32.0)));
  const TempFolder folder;
  const GgufFile file = GgufFile::open(folder.write("x.gguf", builder.bytes()));
  EXPECT_EQ(gguf_config(file).rope.factor, 32.0);
}

TEST(GgufImport, UnknownFactorsAreRefused) {
  for (const double factor : {1.0, 16.0}) {
    GgufBuilder builder = tiny_llama();
    builder.number("llama.rope.freq_base", 3e7f);
    builder.tensor("rope_freqs.weight", {2}, kTensorF32, bytes_of(llama3_factors(3e7, 4, factor)));
    EXPECT_THAT(import_error(builder), AllOf(HasSubstr("rope_freqs.weight"), HasSubstr("none of the known")));
  }
  GgufBuilder builder = tiny_llama();
  builder.tensor("rope_freqs.weight", {3}, kTensorF32, std::string(12, '\0'));
  EXPECT_THAT(import_error(builder), HasSubstr("rope_freqs.weight"));
}

// ---- the folder

TEST(GgufImport, ExistingFolderIsLeftAlone) {
  const TempFolder folder;
  const fs::path path = folder.write("x.gguf", tiny_llama().bytes());
  fs::create_directories(folder.path() / "out");
  EXPECT_THAT(error_of<IoError>([&] { import_gguf(path, folder.path() / "out", "f32"); }), HasSubstr("out"));
  EXPECT_TRUE(fs::is_empty(folder.path() / "out"));
}

TEST(GgufImport, UnknownDtypeIsRefused) {
  EXPECT_THAT(error_of<ConfigError>([] { import_gguf("x.gguf", "out", "int4"); }), HasSubstr("want f32 or bf16"));
}

TEST(GgufImport, MissingFileIsNamed) {
  EXPECT_THAT(error_of([] { import_gguf("no_such.gguf", "out", "f32"); }), HasSubstr("no_such.gguf: no such file"));
}

TEST(GgufImport, FolderHoldsTheFiveFiles) {
  const TempFolder folder;
  imported(folder, tiny_llama());
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path() / "out")) names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::UnorderedElementsAre("config.json", "generation_config.json", "model.safetensors",
                                                   "tokenizer.json", "tokenizer_config.json"));
}

TEST(GgufImport, SmolLm2IsWhatItsPublisherSays) {
  const fs::path path = fs::path(NOREGRET_SOURCE_DIR) / ".deps/smollm2.gguf";
  if (!fs::exists(path)) GTEST_SKIP() << "no .deps/smollm2.gguf; make setup fetches it";
  const GgufFile file = GgufFile::open(path);
  // config.json of HuggingFaceTB/SmolLM2-135M-Instruct.
  const HfConfig config = gguf_config(file);
  EXPECT_EQ(config.hidden_size, 576);
  EXPECT_EQ(config.intermediate_size, 1536);
  EXPECT_EQ(config.num_layers, 30);
  EXPECT_EQ(config.num_heads, 9);
  EXPECT_EQ(config.num_kv_heads, 3);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.vocab_size, 49152);
  EXPECT_EQ(config.max_positions, 8192);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.rope, RopeOptions{.theta = 100000.0});
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2));
  EXPECT_EQ(config.bos_token_id, 1);
  const GgufTokenizer files = gguf_tokenizer(file, config);
  const Json tokenizer = parse_json(files.tokenizer_json, "tokenizer.json");
  EXPECT_EQ(tokenizer["model"]["vocab"].size(), 49152u);
  EXPECT_EQ(tokenizer["model"]["merges"].size(), 48900u);
  EXPECT_EQ(tokenizer["added_tokens"].size(), 17u);
  EXPECT_TRUE(tokenizer["post_processor"].is_null());
  const Json tokenizer_config = parse_json(files.tokenizer_config_json, "tokenizer_config.json");
  EXPECT_EQ(tokenizer_config["bos_token"], "<|im_start|>");
  EXPECT_EQ(tokenizer_config["eos_token"], "<|im_end|>");
  EXPECT_THAT(tokenizer_config["chat_template"].get<std::string>(), HasSubstr("named SmolLM"));
}

}  // namespace
}  // namespace noregret
