#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "noregret/nn/causal_lm.h"
#include "noregret/tensor/device.h"
#include "tests/nn/nn_support.h"

namespace noregret {
namespace {

const at::Device kGpu(at::kCUDA, 0);
const std::vector<std::vector<int64_t>> kSequences = {{1, 5, 9, 13, 2, 7}, {3, 3, 30, 4}};

class CausalLmOnGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda_is_available()) GTEST_SKIP() << "no GPU";
  }
};

TokenBatch on_device(TokenBatch batch, at::Device device) {
  batch.ids = batch.ids.to(device);
  batch.positions = batch.positions.to(device);
  return batch;
}

// f32 log-probs of every next token, [N, V], on the CPU.
Tensor logprobs(const std::string& golden, at::Device device) {
  const at::NoGradGuard no_grad;
  const CausalLm model = CausalLm::load(golden_dir() / golden, device);
  const Tensor logits = logits_of(model, {}, on_device(batch_of(kSequences), device));
  return at::log_softmax(logits.to(at::kFloat), 1).cpu();
}

TEST_F(CausalLmOnGpu, F32LogprobsAgreeWithTheCpu) {
  for (const std::string golden : {"tied", "untied_mha", "one_kv_head", "rope_llama3"}) {
    EXPECT_LT(max_difference(logprobs(golden, kGpu), logprobs(golden, at::kCPU)), kLogprobTolerance) << golden;
  }
}

TEST_F(CausalLmOnGpu, Bf16CheckpointKeepsBf16) {
  EXPECT_EQ(CausalLm::load(golden_dir() / "bf16", kGpu).dtype(), at::kBFloat16);
}

TEST_F(CausalLmOnGpu, Bf16LogprobsAgreeWithF32OnTheCpu) {
  // bf16 has 8 bits: activations of a two-layer model move log-probs by about 1e-2; a wrong position or scale by far
  // more.
  EXPECT_LT(max_difference(logprobs("bf16", kGpu), logprobs("bf16", at::kCPU)), 0.1);
}

TEST_F(CausalLmOnGpu, DecodingWithTheCacheEqualsOnePass) {
  const at::NoGradGuard no_grad;
  const CausalLm model = CausalLm::load(golden_dir() / "tied", kGpu);
  const std::vector<int64_t>& ids = kSequences[0];
  const Tensor whole = logits_of(model, {}, on_device(batch_of({ids}), kGpu)).cpu();
  KvCache cache = model.make_cache(1, 16);
  for (size_t i = 0; i < ids.size(); ++i) {
    TokenBatch token = on_device(batch_of({{ids[i]}}), kGpu);
    token.positions.fill_(static_cast<int64_t>(i));
    token.segments[0].kv_slot = 0;
    const Tensor step = model.logits(model.forward(token, {}, &cache), {}).cpu();
    EXPECT_LT(max_difference(step[0], whole[static_cast<int64_t>(i)]), kLogprobTolerance) << "token " << i;
  }
}

TEST_F(CausalLmOnGpu, GradientOfAnAdapterAgreesWithTheCpu) {
  std::vector<Tensor> gradients;
  for (const at::Device device : {at::Device(at::kCPU), kGpu}) {
    const CausalLm model = CausalLm::load(golden_dir() / "tied", device);
    Adapter adapter = Adapter::create(model.sites(), {}, 1, device);
    adapter.set_trainable(true);
    const Tensor logits = logits_of(model, {&adapter}, on_device(batch_of(kSequences), device));
    at::log_softmax(logits, 1).select(1, 3).sum().backward();
    gradients.push_back(adapter.find(0)->b.grad().cpu());
  }
  EXPECT_GT(gradients[0].abs().max().item<float>(), 0);
  EXPECT_LT(max_difference(gradients[0], gradients[1]), 1e-3);  // f32 sums in another order, gradients of order 1
}

}  // namespace
}  // namespace noregret
