#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "noregret/nn/causal_lm.h"
#include "noregret/rollout/generator.h"

namespace noregret {

// A Llama of a few thousand weights. Its initial weights are large, so that distributions are far from uniform.
inline CausalLm tiny_model(int64_t vocab_size = 50, int64_t max_positions = 64) {
  HfConfig config;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.vocab_size = vocab_size;
  config.max_positions = max_positions;
  return CausalLm::create(config, 0.3, 1, at::kCPU);
}

inline std::vector<int64_t> tiny_prompt(int64_t length, int64_t start) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back((start + i * i * 7) % 50);
  return ids;
}

// A request for `num_samples` completions, its streams keyed by `key`.
inline GenerateRequest tiny_request(std::vector<int64_t> prompt_ids, uint64_t num_samples, uint64_t key) {
  GenerateRequest request{std::move(prompt_ids), {}, ""};
  for (uint64_t i = 0; i < num_samples; ++i) request.streams.push_back(Rng::stream(5, Purpose::kTrain, {1, key, i}));
  return request;
}

// Log-probs of the completion's tokens from one forward of prompt and completion without a cache.
inline std::vector<float> teacher_forced(const CausalLm& model, const AdapterStack& stack,
                                         const std::vector<int64_t>& prompt_ids, const std::vector<int64_t>& ids,
                                         double temperature) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> all = prompt_ids;
  all.insert(all.end(), ids.begin(), ids.end());
  std::vector<int64_t> positions;
  for (size_t i = 0; i < all.size(); ++i) positions.push_back(static_cast<int64_t>(i));
  TokenBatch batch{at::tensor(all), at::tensor(positions), {Segment{0, static_cast<int64_t>(all.size()), -1, -1}}};
  const Tensor logprobs =
      at::log_softmax(model.logits(model.forward(batch, stack, nullptr), stack).div(temperature), 1);
  std::vector<float> picked;
  for (size_t i = 0; i < ids.size(); ++i) {
    picked.push_back(logprobs[static_cast<int64_t>(prompt_ids.size() + i) - 1][ids[i]].item<float>());
  }
  return picked;
}

}  // namespace noregret
