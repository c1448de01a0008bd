#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "noregret/rollout/generator.h"
#include "tests/gpu/model_support.h"

namespace noregret {
namespace {

using GeneratorOnGpu = GpuTest;

// Products whose bits do not depend on the batch, for the whole program: they cannot be asked for later.
const bool kInvariant = [] {
  if (is_cuda_build()) request_invariant_products();
  return true;
}();

std::vector<GenerateRequest> requests_for(int64_t vocab_size) {
  std::vector<GenerateRequest> requests;
  const std::vector<std::vector<int64_t>> prompts = random_sequences(vocab_size, {5, 40, 16, 33, 90, 1, 17});
  for (size_t i = 0; i < prompts.size(); ++i) {
    GenerateRequest& request = requests.emplace_back();
    request.prompt_ids = prompts[i];
    for (uint64_t k = 0; k < 1 + i % 4 * 2; ++k) request.streams.push_back(Rng::stream(1, Purpose::kTrain, {i, k}));
  }
  return requests;
}

std::vector<int64_t> many_stop_ids(int64_t vocab_size) {
  std::vector<int64_t> ids;
  for (int64_t id = 0; id < vocab_size; id += 23) ids.push_back(id);
  return ids;
}

std::vector<std::vector<Completion>> sampled(const CausalLm& model, const AdapterStack& stack, int64_t max_batch,
                                             double temperature) {
  GenerateOptions options;
  options.max_new_tokens = kIsEmulated ? 9 : 70;  // from one page of keys to the next
  options.temperature = temperature;
  options.max_batch = max_batch;
  options.stop_ids = many_stop_ids(model.config().vocab_size);
  return Generator(model, stack, options).generate(requests_for(model.config().vocab_size), {});
}

// The learner's log-probs of the completions' tokens, in the order of requests and samples.
struct Compared {
  double max = 0.0, mean = 0.0;
  int64_t count = 0;
};
Compared compare_with_learner(const CausalLm& model, const AdapterStack& stack,
                              const std::vector<std::vector<Completion>>& groups, double temperature) {
  const at::NoGradGuard no_grad;
  const std::vector<GenerateRequest> requests = requests_for(model.config().vocab_size);
  Compared result;
  for (size_t i = 0; i < groups.size(); ++i) {
    for (const Completion& completion : groups[i]) {
      std::vector<int64_t> ids = requests[i].prompt_ids;
      ids.insert(ids.end(), completion.ids.begin(), completion.ids.end());
      const TokenBatch batch = batch_on({ids}, kGpu);
      const auto first = static_cast<int64_t>(requests[i].prompt_ids.size()),
                 count = static_cast<int64_t>(completion.ids.size());
      const Tensor rows = model.forward(batch, stack, nullptr).narrow(0, first - 1, count);
      const Tensor logprobs =
          model.token_scores(rows, batch.ids.narrow(0, first, count), temperature, stack).logprobs.cpu();
      for (int64_t t = kIsEmulated ? 1 : 0; t < count; ++t) {  // emulated, the CPU's kernel samples a prefill's token
        const double gap =
            std::abs(static_cast<double>(logprobs[t].item<float>()) - completion.logprobs[static_cast<size_t>(t)]);
        result.max = std::max(result.max, gap);
        result.mean += gap;
        ++result.count;
      }
    }
  }
  result.mean /= static_cast<double>(result.count);
  return result;
}

TEST_F(GeneratorOnGpu, LogprobsAreTheLearnersUpToRounding) {
  for (const EngineShape& shape : kGpuShapes) {
    const Twins twins(shape, 4);
    const AdapterStack stack = {&twins.gpu_adapter};
    const Compared gap = compare_with_learner(twins.gpu, stack, sampled(twins.gpu, stack, 8, 0.9), 0.9);
    EXPECT_GT(gap.count, kIsEmulated ? 80 : 100) << shape.name;
    EXPECT_LT(gap.mean, kBf16Mean) << shape.name;
    EXPECT_LT(gap.max, kBf16Max) << shape.name;
  }
}

TEST_F(GeneratorOnGpu, ExactLogprobsAreTheLearnersBits) {
  ASSERT_TRUE(kInvariant);
  for (const EngineShape& shape : kGpuShapes) {
    if (kIsEmulated && &shape != &kGpuShapes[0]) break;
    Twins twins(shape, 4);
    twins.gpu.set_exact(true);
    const AdapterStack stack = {&twins.gpu_adapter};
    for (const int64_t max_batch : {1, 3, 64}) {
      const Compared gap = compare_with_learner(twins.gpu, stack, sampled(twins.gpu, stack, max_batch, 0.9), 0.9);
      EXPECT_EQ(gap.max, 0.0) << shape.name << " max_batch " << max_batch;
    }
  }
}

TEST_F(GeneratorOnGpu, ExactCompletionsDoNotDependOnTheBatch) {
  Twins twins(kGpuShapes[1], 4);
  twins.gpu.set_exact(true);
  const AdapterStack stack = {&twins.gpu_adapter};
  for (const double temperature : {0.0, 1.0}) {
    const auto one = sampled(twins.gpu, stack, 1, temperature);
    std::set<size_t> lengths;
    for (const int64_t max_batch : {2, 5, 17, 64}) {
      if (kIsEmulated && max_batch % 5 != 0) continue;
      const auto many = sampled(twins.gpu, stack, max_batch, temperature);
      for (size_t i = 0; i < one.size(); ++i) {
        for (size_t k = 0; k < one[i].size(); ++k) {
          EXPECT_EQ(many[i][k].ids, one[i][k].ids) << "max_batch " << max_batch << " request " << i << " sample " << k;
          EXPECT_EQ(many[i][k].logprobs, one[i][k].logprobs);
          EXPECT_EQ(many[i][k].finish_reason, one[i][k].finish_reason);
          lengths.insert(one[i][k].ids.size());
        }
      }
    }
    EXPECT_GT(lengths.size(), temperature > 0 ? 3U : 0U);  // sequences end at different times
  }
}

TEST_F(GeneratorOnGpu, ExactGradientsAgreeWithTheOthers) {
  Twins twins(kGpuShapes[0], 4);
  const SharedBatch shared = shared_prefix_batch(kGpuShapes[0].vocab_size, kGpu);
  twins.gpu_adapter.set_trainable(true);
  std::vector<Tensor> gradients;
  for (const bool is_exact : {false, true}) {
    twins.gpu.set_exact(is_exact);
    const AdapterStack stack = {&twins.gpu_adapter};
    const Tensor hidden = twins.gpu.forward(shared.packed, stack, nullptr);
    twins.gpu.token_scores(hidden, shared.packed.ids.roll(-1), 1.0, stack).logprobs.sum().backward();
    Tensor a = twins.gpu_adapter.find(0)->a;
    gradients.push_back(a.grad().clone());
    a.mutable_grad() = Tensor();
  }
  EXPECT_LT(gradients[0].sub(gradients[1]).norm().div(gradients[0].norm()).item<double>(), 0.02);
}

TEST_F(GeneratorOnGpu, GraphsFollowTheAdapter) {
  const Twins twins(kGpuShapes[0], 2);
  const AdapterStack stack = {&twins.gpu_adapter};
  const auto before = sampled(twins.gpu, stack, 16, 1.0);
  const at::NoGradGuard no_grad;
  twins.gpu_adapter.parameters().back().second.add_(1.0);
  const auto after = sampled(twins.gpu, stack, 16, 1.0);
  EXPECT_NE(before[1][0].logprobs, after[1][0].logprobs);
  EXPECT_LT(compare_with_learner(twins.gpu, stack, after, 1.0).mean, kBf16Mean);
}

}  // namespace
}  // namespace noregret
