#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/nn/model_files.h"
#include "tests/nn/nn_support.h"

namespace noregret {
namespace {

void expect_logprobs(const CausalLm& model, const AdapterStack& stack, const std::vector<Scored>& sequences) {
  ASSERT_FALSE(sequences.empty());
  for (const Scored& sequence : sequences) {
    const std::vector<double> got = score(model, stack, sequence.ids);
    ASSERT_EQ(got.size(), sequence.logprobs.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], sequence.logprobs[i], kLogprobTolerance) << "token " << i;
  }
}

void expect_model(const std::string& name) {
  expect_logprobs(golden_model(name), {}, scored_from(golden_logprobs()["models"][name]));
}

void expect_adapter(const std::string& name) {
  const Json golden = golden_logprobs()["adapters"][name];
  const CausalLm model = golden_model(golden["model"].get<std::string>());
  const Adapter adapter = Adapter::load(golden_dir() / name, model.sites(), at::kCPU);
  expect_logprobs(model, {&adapter}, scored_from(golden["sequences"]));
}

TEST(GoldenLogprobs, TiedHeadEqualsTransformers) { expect_model("tied"); }
TEST(GoldenLogprobs, UntiedMultiHeadAttentionEqualsTransformers) { expect_model("untied_mha"); }
TEST(GoldenLogprobs, OneKeyHeadOfOddWidthEqualsTransformers) { expect_model("one_kv_head"); }
TEST(GoldenLogprobs, LinearRopeEqualsTransformers) { expect_model("rope_linear"); }
TEST(GoldenLogprobs, DynamicRopeWithinItsLengthEqualsTransformers) { expect_model("rope_dynamic"); }
TEST(GoldenLogprobs, Llama3RopeEqualsTransformers) { expect_model("rope_llama3"); }
TEST(GoldenLogprobs, YarnRopeEqualsTransformers) { expect_model("rope_yarn"); }
TEST(GoldenLogprobs, YarnRopeWithItsOwnAttentionFactorEqualsTransformers) { expect_model("rope_yarn_attention"); }
TEST(GoldenLogprobs, Bf16CheckpointEqualsTransformersInF32) { expect_model("bf16"); }

TEST(GoldenLogprobs, PeftAdapterWithAlphaUnlikeRankEqualsPeft) { expect_adapter("adapter_untied"); }
TEST(GoldenLogprobs, PeftAdapterOnATiedHeadEqualsPeft) { expect_adapter("adapter_tied"); }
TEST(GoldenLogprobs, PeftAdapterWithPatternsAndRsLoraEqualsPeft) { expect_adapter("adapter_patterns"); }

TEST(GoldenLogprobs, AdapterWithPatternsSurvivesOurOwnFiles) {
  const Json golden = golden_logprobs()["adapters"]["adapter_patterns"];
  const CausalLm model = golden_model("untied_mha");
  const Adapter adapter = Adapter::load(golden_dir() / "adapter_patterns", model.sites(), at::kCPU);
  const TempFolder folder("patterns");
  write_file_atomic(folder.path() / "adapter_config.json", adapter.config_json("base"));
  write_file_atomic(folder.path() / "adapter_model.safetensors", adapter.tensor_bytes());
  const Adapter again = Adapter::load(folder.path(), model.sites(), at::kCPU);
  EXPECT_FALSE(again.config().use_rslora);
  expect_logprobs(model, {&again}, scored_from(golden["sequences"]));
}

TEST(GoldenLogprobs, MergedAdapterGivesTheSameLogprobs) {
  const Json golden = golden_logprobs()["adapters"]["adapter_tied"];
  const CausalLm model = golden_model("tied");
  const Adapter adapter = Adapter::load(golden_dir() / "adapter_tied", model.sites(), at::kCPU);
  const ModelFiles files = model_files(model, {&adapter}, "f32");
  const TempFolder folder("merged");
  write_file_atomic(folder.path() / "config.json", files.config_json);
  write_file_atomic(folder.path() / "model.safetensors", files.tensor_bytes);
  expect_logprobs(CausalLm::load(folder.path(), at::kCPU), {}, scored_from(golden["sequences"]));
}

}  // namespace
}  // namespace noregret
