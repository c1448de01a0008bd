#include "noregret/nn/model_files.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/base/error.h"
#include "tests/nn/nn_support.h"

namespace noregret {
namespace {

using testing::HasSubstr;

CausalLm written_and_loaded(const ModelFiles& files, const std::string& name) {
  const TempFolder folder(name);
  write_file_atomic(folder.path() / "config.json", files.config_json);
  write_file_atomic(folder.path() / "generation_config.json", files.generation_config_json);
  write_file_atomic(folder.path() / "model.safetensors", files.tensor_bytes);
  return CausalLm::load(folder.path(), at::kCPU);
}

Adapter random_adapter(const CausalLm& model, std::vector<std::string> targets = {"all"}) {
  Adapter adapter = Adapter::create(model.sites(), adapter_options(3, 20, std::move(targets)), 1, at::kCPU);
  fill_b(adapter, 0.2f, 2);
  return adapter;
}

TEST(ModelFiles, PlainWeightsReadBackBitForBit) {
  const CausalLm model = golden_model("untied_mha");
  const ModelFiles files = model_files(model, {}, "f32");
  EXPECT_EQ(written_and_loaded(files, "plain").digest(), model.digest());
  EXPECT_EQ(files.max_rounding, 0.0);
}

TEST(ModelFiles, MergedWeightIsTheBasePlusScaledProduct) {
  const CausalLm model = golden_model("untied_mha");
  const Adapter adapter = random_adapter(model, {"q_proj"});
  const CausalLm merged = written_and_loaded(model_files(model, {&adapter}, "f32"), "product");
  const Tensor want = model.sites()[0].weight().add(at::matmul(adapter.find(0)->b, adapter.find(0)->a), 20.0 / 3.0);
  EXPECT_LT(max_difference(merged.sites()[0].weight(), want), 1e-6);  // f32 rounding
  EXPECT_TRUE(at::equal(merged.sites()[1].weight(), model.sites()[1].weight()));
}

TEST(ModelFiles, AdaptedTiedHeadIsUntied) {
  const CausalLm model = golden_model("tied");
  const Adapter adapter = random_adapter(model);
  const CausalLm merged = written_and_loaded(model_files(model, {&adapter}, "f32"), "untied");
  EXPECT_FALSE(merged.config().tie_word_embeddings);
  EXPECT_TRUE(at::equal(merged.parameters()[0].second, model.parameters()[0].second));  // embeddings stay
  EXPECT_EQ(merged.parameters().back().first, "lm_head.weight");
  EXPECT_FALSE(at::equal(merged.parameters().back().second, model.parameters()[0].second));
}

TEST(ModelFiles, TiedHeadStaysTiedWhenItIsNotAdapted) {
  const CausalLm model = golden_model("tied");
  const Adapter adapter = random_adapter(model, {"q_proj"});
  EXPECT_TRUE(written_and_loaded(model_files(model, {&adapter}, "f32"), "tied").config().tie_word_embeddings);
}

TEST(ModelFiles, MergedModelGivesTheUnmergedLogits) {
  const CausalLm model = golden_model("untied_mha");
  const Adapter adapter = random_adapter(model);
  const CausalLm merged = written_and_loaded(model_files(model, {&adapter}, "f32"), "logits");
  const at::NoGradGuard no_grad;
  const TokenBatch batch = batch_of({some_ids(30, 1)});
  EXPECT_LT(max_difference(logits_of(merged, {}, batch), logits_of(model, {&adapter}, batch)), kLogprobTolerance);
}

TEST(ModelFiles, Bf16SaysHowFarRoundingMovedAWeight) {
  const CausalLm model = golden_model("untied_mha");
  const ModelFiles files = model_files(model, {}, "bf16");
  EXPECT_THAT(files.config_json, HasSubstr("bfloat16"));
  EXPECT_GT(files.max_rounding, 0.0);
  EXPECT_LT(files.max_rounding, 0.01);  // weights below 4, relative rounding 2^-9
}

TEST(ModelFiles, Bf16CheckpointSurvivesBf16) {
  const CausalLm model = golden_model("bf16");
  const ModelFiles files = model_files(model, {}, "bf16");
  EXPECT_EQ(files.max_rounding, 0.0);
  EXPECT_EQ(written_and_loaded(files, "bf16").digest(), model.digest());
}

TEST(ModelFiles, UnknownDtypeIsRefused) {
  const CausalLm model = golden_model("tied");
  EXPECT_THAT(error_of<ConfigError>([&] { model_files(model, {}, "int4"); }), HasSubstr("want f32, bf16 or f16"));
}

}  // namespace
}  // namespace noregret
