#include "noregret/nn/causal_lm.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "noregret/base/error.h"
#include "tests/nn/nn_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<int64_t> joined(std::vector<int64_t> head, const std::vector<int64_t>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

// Writes the tensors as a model folder beside the config of the golden model "tied".
void write_model(const TempFolder& folder, const std::vector<NamedTensor>& tensors) {
  fs::copy_file(golden_dir() / "tied/config.json", folder.path() / "config.json");
  write_file_atomic(folder.path() / "model.safetensors", tensors_to_bytes(tensors));
}

std::vector<NamedTensor> golden_tensors() { return read_tensors(golden_dir() / "tied/model.safetensors"); }

NamedTensor& named(std::vector<NamedTensor>& tensors, const std::string& name) {
  for (NamedTensor& entry : tensors) {
    if (entry.first == name) return entry;
  }
  throw std::logic_error(name);
}

std::string load_error(const TempFolder& folder) {
  return error_of<DataError>([&] { CausalLm::load(folder.path(), at::kCPU); });
}

TEST(CausalLm, PackedSequencesEqualEachAlone) {
  const CausalLm model = tiny_model();
  const at::NoGradGuard no_grad;
  const std::vector<std::vector<int64_t>> sequences = {some_ids(9, 1), some_ids(1, 2), some_ids(17, 3), some_ids(4, 4)};
  const Tensor packed = logits_of(model, {}, batch_of(sequences));
  int64_t begin = 0;
  for (const std::vector<int64_t>& sequence : sequences) {
    const Tensor alone = logits_of(model, {}, batch_of({sequence}));
    EXPECT_LT(max_difference(packed.narrow(0, begin, alone.size(0)), alone), kLogprobTolerance);
    begin += alone.size(0);
  }
}

TEST(CausalLm, SharedPrefixEqualsEachSequenceWhole) {
  const CausalLm model = tiny_model();
  const Adapter adapter = Adapter::create(model.sites(), adapter_options(3, 20), 1, at::kCPU);
  fill_b(adapter, 0.3f, 2);
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> prompt = some_ids(7, 1);
  const std::vector<std::vector<int64_t>> tails = {some_ids(5, 2), some_ids(2, 3), some_ids(8, 4)};
  TokenBatch batch = batch_of({prompt, tails[0], tails[1], tails[2]});
  for (int64_t i = 1; i <= 3; ++i) batch.segments[i].prefix_segment = 0;
  for (const Segment& segment : batch.segments) {
    if (segment.prefix_segment == 0) batch.positions.narrow(0, segment.begin, segment.length).add_(7);
  }
  const Tensor shared = logits_of(model, {&adapter}, batch);
  for (size_t i = 0; i < tails.size(); ++i) {
    const Segment& segment = batch.segments[i + 1];
    const Tensor whole = logits_of(model, {&adapter}, batch_of({joined(prompt, tails[i])}));
    EXPECT_LT(max_difference(shared.narrow(0, segment.begin, segment.length), whole.narrow(0, 7, segment.length)),
              kLogprobTolerance);
  }
}

TEST(CausalLm, GradientsThroughASharedPrefixEqualThoseOfWholeSequences) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), adapter_options(2, 8), 1, at::kCPU);
  fill_b(adapter, 0.3f, 2);
  adapter.set_trainable(true);
  const std::vector<int64_t> prompt = some_ids(5, 1);
  const std::vector<std::vector<int64_t>> tails = {some_ids(4, 2), some_ids(3, 3)};
  TokenBatch shared = batch_of({prompt, tails[0], tails[1]});
  for (int64_t i = 1; i <= 2; ++i) {
    shared.segments[i].prefix_segment = 0;
    shared.positions.narrow(0, shared.segments[i].begin, shared.segments[i].length).add_(5);
  }
  const auto gradients = [&] {
    Tensor all;
    for (const auto& [name, tensor] : adapter.parameters()) {
      all = all.defined() ? at::cat({all, tensor.grad().flatten()}) : tensor.grad().flatten();
      tensor.mutable_grad() = Tensor();
    }
    return all;
  };
  logprobs_of(model, {&adapter}, shared).narrow(0, 5, 7).pow(2).sum().backward();
  const Tensor with_sharing = gradients();
  for (const std::vector<int64_t>& tail : tails) {
    const auto length = static_cast<int64_t>(tail.size());
    logprobs_of(model, {&adapter}, batch_of({joined(prompt, tail)})).narrow(0, 5, length).pow(2).sum().backward();
  }
  const Tensor whole = gradients();
  EXPECT_LT(max_difference(with_sharing, whole) / whole.abs().max().item<double>(), 1e-5);  // f32 sums in another order
}

TEST(CausalLm, PrefixOfAPrefixIsABug) {
  const CausalLm model = tiny_model();
  TokenBatch batch = batch_of({some_ids(3, 1), some_ids(2, 2), some_ids(2, 3)});
  batch.segments[1].prefix_segment = 0;
  batch.segments[2].prefix_segment = 1;
  EXPECT_THROW(model.forward(batch, {}, nullptr), std::logic_error);
}

TEST(CausalLm, RowsThatTheBatchHasNotAreABug) {
  const CausalLm model = tiny_model();
  const TokenBatch batch = batch_of({some_ids(3, 1)});
  for (const std::vector<int64_t>& rows : {std::vector<int64_t>{}, {3}, {-1}})
    EXPECT_THROW(model.forward(batch, {}, nullptr, at::tensor(rows, at::kLong)), std::logic_error);
}

TEST(CausalLm, SequenceBeyondTheContextIsRefusedWithBothLengths) {
  const CausalLm model = tiny_model();
  const std::string message = error_of<DataError>([&] { model.forward(batch_of({some_ids(49, 1)}), {}, nullptr); });
  EXPECT_THAT(message, AllOf(HasSubstr("49 tokens"), HasSubstr("context length is 48")));
}

TEST(CausalLm, DynamicRopeRefusesWhatExceedsItsOriginalLength) {
  HfConfig config = tiny_config();
  config.rope.type = RopeOptions::Type::kDynamic;
  config.rope.factor = 2.0;
  config.rope.original_max_positions = 8;
  const CausalLm model = CausalLm::create(config, 0.3, 1, at::kCPU);
  EXPECT_THROW(model.forward(batch_of({some_ids(9, 1)}), {}, nullptr), DataError);
}

TEST(CausalLm, FreshAdapterGivesTheBaseBitForBit) {
  const CausalLm model = tiny_model();
  const Adapter adapter = Adapter::create(model.sites(), adapter_options(4, 32), 1, at::kCPU);
  const TokenBatch batch = batch_of({some_ids(11, 1), some_ids(5, 2)});
  EXPECT_TRUE(at::equal(logits_of(model, {&adapter}, batch), logits_of(model, {}, batch)));
}

TEST(CausalLm, HeadAdapterOfATiedModelLeavesTheHiddenStatesAlone) {
  const CausalLm model = golden_model("tied");
  const Adapter adapter = Adapter::create(model.sites(), adapter_options(2, 32, {"lm_head"}), 1, at::kCPU);
  fill_b(adapter, 0.5f, 2);
  const TokenBatch batch = batch_of({some_ids(9, 1)});
  EXPECT_TRUE(at::equal(model.forward(batch, {&adapter}, nullptr), model.forward(batch, {}, nullptr)));
  EXPECT_FALSE(at::equal(logits_of(model, {&adapter}, batch), logits_of(model, {}, batch)));
}

TEST(CausalLm, TrainingAnAdapterLeavesNoGradientOnTheBase) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), adapter_options(2, 32), 1, at::kCPU);
  adapter.set_trainable(true);
  logprobs_of(model, {&adapter}, batch_of({some_ids(9, 1)})).pow(2).sum().backward();
  for (const auto& [name, tensor] : model.parameters()) EXPECT_FALSE(tensor.grad().defined()) << name;
  for (const auto& [name, tensor] : adapter.parameters()) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    const bool is_b = name.find("lora_B") != std::string::npos;
    EXPECT_EQ(tensor.grad().abs().max().item<float>() > 0, is_b) << name;  // B = 0 gives A no gradient
  }
}

TEST(CausalLm, FullFineTuningReachesEveryWeight) {
  CausalLm model = tiny_model();
  model.set_trainable(true);
  logprobs_of(model, {}, batch_of({some_ids(12, 1), some_ids(6, 2)})).pow(2).sum().backward();
  for (const auto& [name, tensor] : model.parameters()) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_GT(tensor.grad().abs().max().item<float>(), 0) << name;
  }
}

TEST(CausalLm, StepsEqualTheWholeForward) {
  const CausalLm model = tiny_model();
  const TokenBatch batch = batch_of({some_ids(6, 1), some_ids(9, 2)});
  const ForwardPlan plan = model.plan(batch, nullptr);
  Tensor hidden = model.embed(batch);
  for (int64_t i = 0; i < model.config().num_layers; ++i) hidden = model.layer(i, hidden, plan, {}, nullptr);
  EXPECT_TRUE(at::equal(model.final_norm(hidden), model.forward(batch, {}, nullptr)));
}

TEST(CausalLm, SitesAreSevenALayerAndTheHead) {
  const CausalLm model = tiny_model();
  ASSERT_EQ(model.sites().size(), 15u);
  EXPECT_EQ(model.sites()[0].name, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(model.sites()[13].name, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(model.sites()[13].in_features, 24);
  EXPECT_EQ(model.sites()[14].name, "lm_head");
}

TEST(CausalLm, RandomWeightsAreAPureFunctionOfTheSeed) {
  const HfConfig config = tiny_config();
  EXPECT_EQ(CausalLm::create(config, 0.3, 1, at::kCPU).digest(), CausalLm::create(config, 0.3, 1, at::kCPU).digest());
  EXPECT_NE(CausalLm::create(config, 0.3, 1, at::kCPU).digest(), CausalLm::create(config, 0.3, 2, at::kCPU).digest());
}

TEST(CausalLm, RandomWeightsHaveTheStandardDeviationAskedFor) {
  HfConfig config = tiny_config();
  config.vocab_size = 2000;
  const CausalLm model = CausalLm::create(config, 0.02, 3, at::kCPU);
  const Tensor embedding = model.parameters()[0].second;
  EXPECT_NEAR(embedding.std().item<double>(), 0.02, 0.0004);  // 32,000 draws: 5 standard errors
  EXPECT_NEAR(embedding.mean().item<double>(), 0.0, 0.0006);
}

TEST(CausalLmLoad, ParametersOfATiedModelLeaveTheHeadOut) {
  for (const auto& [name, tensor] : golden_model("tied").parameters()) EXPECT_NE(name, "lm_head.weight");
  EXPECT_EQ(golden_model("untied_mha").parameters().back().first, "lm_head.weight");
}

TEST(CausalLmLoad, TiedHeadAndRotaryBuffersInTheFileAreIgnored) {
  const TempFolder folder("ignored");
  std::vector<NamedTensor> tensors = golden_tensors();
  tensors.emplace_back("lm_head.weight", named(tensors, "model.embed_tokens.weight").second);
  tensors.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", at::full({3}, 1.0f));
  write_model(folder, tensors);
  EXPECT_EQ(CausalLm::load(folder.path(), at::kCPU).digest(), golden_model("tied").digest());
}

TEST(CausalLmLoad, MissingTensorIsNamed) {
  const TempFolder folder("missing");
  std::vector<NamedTensor> tensors = golden_tensors();
  std::erase_if(tensors, [](const NamedTensor& entry) { return entry.first == "model.layers.1.mlp.up_proj.weight"; });
  write_model(folder, tensors);
  EXPECT_THAT(load_error(folder), HasSubstr("model.layers.1.mlp.up_proj.weight"));
}

TEST(CausalLmLoad, SurplusTensorIsNamed) {
  const TempFolder folder("surplus");
  std::vector<NamedTensor> tensors = golden_tensors();
  tensors.emplace_back("model.layers.0.self_attn.q_proj.bias", at::full({24}, 1.0f));
  write_model(folder, tensors);
  EXPECT_THAT(load_error(folder), HasSubstr("model.layers.0.self_attn.q_proj.bias"));
}

TEST(CausalLmLoad, WrongShapeIsNamedWithBothShapes) {
  const TempFolder folder("shape");
  std::vector<NamedTensor> tensors = golden_tensors();
  named(tensors, "model.norm.weight").second = at::full({23}, 1.0f);
  write_model(folder, tensors);
  EXPECT_THAT(load_error(folder), AllOf(HasSubstr("model.norm.weight"), HasSubstr("[23]"), HasSubstr("[24]")));
}

TEST(CausalLmLoad, NonFiniteWeightIsRefused) {
  const TempFolder folder("nan");
  std::vector<NamedTensor> tensors = golden_tensors();
  named(tensors, "model.layers.0.mlp.gate_proj.weight").second[3][4] = std::nan("");
  write_model(folder, tensors);
  EXPECT_THAT(load_error(folder), AllOf(HasSubstr("gate_proj"), HasSubstr("NaN")));
}

TEST(CausalLmLoad, QuantizedWeightIsRefused) {
  const TempFolder folder("int8");
  std::vector<NamedTensor> tensors = golden_tensors();
  Tensor& weight = named(tensors, "model.layers.0.mlp.gate_proj.weight").second;
  weight = weight.to(at::kChar);
  write_model(folder, tensors);
  EXPECT_THAT(load_error(folder), AllOf(HasSubstr("I8"), HasSubstr("want F32")));
}

TEST(CausalLmLoad, CutOffFileIsRefused) {
  const TempFolder folder("cut");
  folder.copy_from(golden_dir() / "tied");
  fs::resize_file(folder.path() / "model.safetensors", fs::file_size(folder.path() / "model.safetensors") - 100);
  EXPECT_THAT(load_error(folder), HasSubstr("model.safetensors"));
}

TEST(CausalLmLoad, OtherArchitectureIsRefused) {
  const TempFolder folder("arch");
  folder.copy_from(golden_dir() / "tied");
  Json config = parse_json(read_file(folder.path() / "config.json"), "config.json");
  config["model_type"] = "qwen2";
  write_file_atomic(folder.path() / "config.json", dump_json(config));
  EXPECT_THAT(load_error(folder), HasSubstr("qwen2"));
}

}  // namespace
}  // namespace noregret
