#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cosine_similarity.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "noregret/nn/causal_lm.h"
#include "noregret/tensor/device.h"
#include "tests/gpu/model_support.h"

namespace noregret {
namespace {

using CausalLmOnGpu = GpuTest;

TEST_F(CausalLmOnGpu, Bf16ModelsRunOnTheKernelsAndOthersOnLibTorch) {
  EXPECT_EQ(quickstart_on_gpu().backend(), Backend::kCuda);
  EXPECT_EQ(quickstart_on_gpu().dtype(), at::kBFloat16);
  EXPECT_EQ(CausalLm::load(golden_dir() / "tied", kGpu, Backend::kCuda).backend(), Backend::kAten);
}

TEST_F(CausalLmOnGpu, F32LogprobsAgreeWithTheCpu) {
  for (const std::string golden : {"tied", "untied_mha", "one_kv_head", "rope_llama3"}) {
    const CausalLm gpu = CausalLm::load(golden_dir() / golden, kGpu, Backend::kCuda),
                   cpu = CausalLm::load(golden_dir() / golden, at::kCPU);
    const std::vector<std::vector<int64_t>> sequences = {{1, 5, 9, 13, 2, 7}, {3, 3, 30, 4}};
    EXPECT_LT(max_difference(all_logprobs(gpu, {}, batch_on(sequences, kGpu)),
                             all_logprobs(cpu, {}, batch_on(sequences, at::kCPU))),
              kLogprobTolerance)
        << golden;
  }
}

TEST_F(CausalLmOnGpu, LogprobsWithAnAdapterAgreeWithTheCpuInF32) {
  for (const EngineShape& shape : kGpuShapes) {
    const Twins twins(shape, 4);
    const auto sequences = random_sequences(shape.vocab_size, {70, 1, 33, 128});
    const Tensor gpu = all_logprobs(twins.gpu, {&twins.gpu_adapter}, batch_on(sequences, kGpu));
    const Tensor cpu = all_logprobs(twins.cpu, {&twins.cpu_adapter}, batch_on(sequences, at::kCPU));
    const Tensor base = all_logprobs(twins.gpu, {}, batch_on(sequences, kGpu));
    // Activations have 8 bits; a wrong weight, position or scale moves log-probs by more than 1, as the adapter does.
    EXPECT_LT(mean_difference(gpu, cpu), kBf16Mean) << shape.name;
    EXPECT_LT(max_difference(gpu, cpu), kBf16Max) << shape.name;
    EXPECT_GT(mean_difference(gpu, base), 10 * kBf16Mean) << shape.name;
  }
}

TEST_F(CausalLmOnGpu, TwoAdaptersAddUpAndTheBaseComesBack) {
  const EngineShape& shape = kGpuShapes[0];
  const Twins twins(shape, 4);
  Adapter gpu_second =
      Adapter::create(twins.gpu.sites(), adapter_options(3, 6.0, {"q_proj", "up_proj", "down_proj"}), 9, kGpu);
  Adapter cpu_second =
      Adapter::create(twins.cpu.sites(), adapter_options(3, 6.0, {"q_proj", "up_proj", "down_proj"}), 9, at::kCPU);
  fill_b(gpu_second, 0.1f, 5);
  fill_b(cpu_second, 0.1f, 5);
  const auto sequences = random_sequences(shape.vocab_size, {40, 40});
  const TokenBatch on_gpu = batch_on(sequences, kGpu), on_cpu = batch_on(sequences, at::kCPU);
  const Tensor before = all_logprobs(twins.gpu, {}, on_gpu);
  const Tensor both = all_logprobs(twins.gpu, {&twins.gpu_adapter, &gpu_second}, on_gpu);
  EXPECT_LT(mean_difference(both, all_logprobs(twins.cpu, {&twins.cpu_adapter, &cpu_second}, on_cpu)), kBf16Mean);
  EXPECT_EQ(max_difference(all_logprobs(twins.gpu, {}, on_gpu), before), 0.0);
}

TEST_F(CausalLmOnGpu, AChangedAdapterIsSeenByTheNextForward) {
  const EngineShape& shape = kGpuShapes[1];
  const Twins twins(shape, 2);
  const TokenBatch batch = batch_on(random_sequences(shape.vocab_size, {20}), kGpu);
  const AdapterStack stack = {&twins.gpu_adapter};
  const Tensor before = all_logprobs(twins.gpu, stack, batch);
  const std::string digest = twins.gpu.policy_digest(stack);
  const at::NoGradGuard no_grad;
  Tensor b = twins.gpu_adapter.parameters().back().second;
  b.add_(5.0);
  EXPECT_GT(max_difference(all_logprobs(twins.gpu, stack, batch), before), 0.01);
  EXPECT_NE(twins.gpu.policy_digest(stack), digest);
  b.sub_(5.0);
  EXPECT_LT(max_difference(all_logprobs(twins.gpu, stack, batch), before), 0.01);
}

TEST_F(CausalLmOnGpu, ASharedPrefixIsAsGoodAsOneForEachSequence) {
  for (const EngineShape& shape : kGpuShapes) {
    const Twins twins(shape, 4);
    const SharedBatch shared = shared_prefix_batch(shape.vocab_size, kGpu);
    const Tensor together = all_logprobs(twins.gpu, {&twins.gpu_adapter}, shared.packed);
    const Tensor apart = all_logprobs(twins.gpu, {&twins.gpu_adapter}, shared.unpacked);
    EXPECT_LT(
        mean_difference(together.index_select(0, shared.packed_rows), apart.index_select(0, shared.unpacked_rows)),
        kBf16Mean)
        << shape.name;
  }
}

// Rows of a batch of at least 40 tokens: in no order, one of them three times.
Tensor some_rows(const TokenBatch& batch) {
  return at::tensor(std::vector<int64_t>{39, 12, 0, 12, 17, 12, 21}, at::kLong).to(batch.ids.device());
}

TEST_F(CausalLmOnGpu, ChosenRowsAreThoseAmongAll) {
  for (const EngineShape& shape : kGpuShapes) {
    Twins twins(shape, 4);
    const SharedBatch shared = shared_prefix_batch(shape.vocab_size, kGpu);
    const Tensor rows = some_rows(shared.packed);
    const AdapterStack stack = {&twins.gpu_adapter};
    const at::NoGradGuard no_grad;
    const auto logprobs = [&](const Tensor& hidden) {
      return twins.gpu.token_scores(hidden, rows, 1.0, stack).logprobs;
    };
    for (const bool is_exact : {false, true}) {
      twins.gpu.set_exact(is_exact);
      const Tensor among_all = twins.gpu.forward(shared.packed, stack, nullptr).index_select(0, rows);
      const Tensor chosen = twins.gpu.forward(shared.packed, stack, nullptr, rows);
      EXPECT_LT(mean_difference(logprobs(chosen), logprobs(among_all)), is_exact ? 1e-30 : kBf16Mean) << shape.name;
    }
  }
}

// All gradients of the adapter as one vector, on the CPU; through some rows, or all.
Tensor adapter_gradient(const CausalLm& model, Adapter& adapter, const TokenBatch& batch, const Tensor& rows = {}) {
  adapter.set_trainable(true);
  const Tensor hidden = model.forward(batch, {&adapter}, nullptr, rows);
  const Tensor targets = rows.defined() ? batch.ids.roll(-1).index_select(0, rows) : batch.ids.roll(-1);
  model.token_scores(hidden, targets, 0.8, {&adapter}).logprobs.sum().backward();
  std::vector<Tensor> flat;
  for (auto& [name, tensor] : adapter.parameters()) {
    flat.push_back(tensor.grad().detach().to(at::kFloat).flatten().cpu());
    tensor.mutable_grad() = Tensor();
  }
  return at::cat(flat);
}

void expect_same_direction(const Tensor& gpu, const Tensor& cpu, const std::string& what) {
  EXPECT_GT(cpu.norm().item<double>(), 0.0) << what;
  EXPECT_GT(at::cosine_similarity(gpu, cpu, 0).item<double>(), 0.999) << what;
  EXPECT_NEAR(gpu.norm().div(cpu.norm()).item<double>(), 1.0, 0.02) << what;
}

TEST_F(CausalLmOnGpu, GradientsOfAnAdapterAgreeWithTheCpuInF32) {
  for (const EngineShape& shape : kGpuShapes) {
    Twins twins(shape, 4);
    const auto sequences = random_sequences(shape.vocab_size, {70, 2, 33, 128});
    expect_same_direction(adapter_gradient(twins.gpu, twins.gpu_adapter, batch_on(sequences, kGpu)),
                          adapter_gradient(twins.cpu, twins.cpu_adapter, batch_on(sequences, at::kCPU)), shape.name);
    const SharedBatch gpu = shared_prefix_batch(shape.vocab_size, kGpu),
                      cpu = shared_prefix_batch(shape.vocab_size, at::kCPU);
    expect_same_direction(adapter_gradient(twins.gpu, twins.gpu_adapter, gpu.packed),
                          adapter_gradient(twins.cpu, twins.cpu_adapter, cpu.packed),
                          std::string(shape.name) + ", shared");
    expect_same_direction(adapter_gradient(twins.gpu, twins.gpu_adapter, gpu.packed, some_rows(gpu.packed)),
                          adapter_gradient(twins.cpu, twins.cpu_adapter, cpu.packed, some_rows(cpu.packed)),
                          std::string(shape.name) + ", some rows");
  }
}

TEST_F(CausalLmOnGpu, GradientsAreOfTheirForwardsAdapterWhateverCameBetween) {
  const EngineShape& shape = kGpuShapes[0];
  Twins twins(shape, 4);
  Adapter other = Adapter::create(twins.gpu.sites(), adapter_options(3, 6.0), 9, kGpu);
  fill_b(other, 0.1f, 5);
  const TokenBatch batch = batch_on(random_sequences(shape.vocab_size, {40}), kGpu);
  const Tensor want = adapter_gradient(twins.gpu, twins.gpu_adapter, batch);
  twins.gpu_adapter.set_trainable(true);
  const AdapterStack stack = {&twins.gpu_adapter};
  const Tensor logprobs =
      twins.gpu.token_scores(twins.gpu.forward(batch, stack, nullptr), batch.ids.roll(-1), 0.8, stack).logprobs;
  all_logprobs(twins.gpu, {&other}, batch);
  logprobs.sum().backward();
  std::vector<Tensor> flat;
  for (const auto& [name, tensor] : twins.gpu_adapter.parameters()) flat.push_back(tensor.grad().flatten().cpu());
  expect_same_direction(at::cat(flat), want, "after a forward with another adapter");
}

TEST_F(CausalLmOnGpu, GradientsOfAllWeightsAgreeWithTheCpuInF32) {
  const EngineShape& shape = kGpuShapes[0];
  std::vector<Tensor> gradients;
  Twins twins(shape, 1);
  const auto sequences = random_sequences(shape.vocab_size, {50, 20});
  for (CausalLm* model : {&twins.gpu, &twins.cpu}) {
    model->set_trainable(true);
    const TokenBatch batch = batch_on(sequences, model->device());
    model->token_scores(model->forward(batch, {}, nullptr), batch.ids.roll(-1), 1.0, {}).logprobs.sum().backward();
  }
  const auto gpu = twins.gpu.parameters(), cpu = twins.cpu.parameters();
  for (size_t i = 0; i < gpu.size(); ++i) {
    ASSERT_TRUE(gpu[i].second.grad().defined()) << gpu[i].first;
    expect_same_direction(gpu[i].second.grad().to(at::kFloat).flatten().cpu(), cpu[i].second.grad().flatten(),
                          gpu[i].first);
  }
}

}  // namespace
}  // namespace noregret
