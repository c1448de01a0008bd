#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include <string>
#include <vector>

#include "noregret/base/rng.h"
#include "noregret/nn/causal_lm.h"
#include "noregret/tensor/cuda.h"
#include "tests/gpu/gpu_test.h"
#include "tests/nn/engine_support.h"
#include "tests/nn/nn_support.h"

namespace noregret {

// Rounding of bf16 activations (2^-9 each) through the layers of these models, in log-probs.
inline constexpr double kBf16Mean = 0.02;
inline constexpr double kBf16Max = 0.3;

// Every group size class and head dimension of the kernels, in models of three layers.
inline constexpr EngineShape kGpuShapes[] = {
    {"Group2Dim32Tied", 4, 2, 32, 128, 320, 258, true, true},
    {"Group7Dim64Untied", 7, 1, 64, 448, 1216, 515, false, true},
    {"Group6Dim128Tied", 6, 1, 128, 512, 1024, 1000, true, true},
    {"Group1Dim80Untied", 4, 4, 80, 320, 640, 333, false, true},
};

inline HfConfig gpu_config(const EngineShape& shape) {
  HfConfig config = engine_config(shape);
  config.num_layers = 3;
  config.max_positions = 1024;
  return config;
}

inline CausalLm quickstart_on_gpu() {
  return CausalLm::load(std::filesystem::path(NOREGRET_SOURCE_DIR) / "configs/quickstart/base", kGpu, Backend::kCuda);
}

// One model with one adapter, in bf16 on the GPU and in f32 on the CPU.
struct Twins {
  Twins(const EngineShape& shape, int64_t rank)
      : gpu(bf16_model(gpu_config(shape), 0.05, 3, Backend::kCuda, kGpu)),
        cpu(bf16_model(gpu_config(shape), 0.05, 3, Backend::kKernels)),
        gpu_adapter(
            Adapter::create(gpu.sites(), adapter_options(rank, 2.0 * static_cast<double>(rank), {"all"}), 7, kGpu)),
        cpu_adapter(Adapter::create(cpu.sites(), adapter_options(rank, 2.0 * static_cast<double>(rank), {"all"}), 7,
                                    at::kCPU)) {
    fill_b(gpu_adapter, 0.1f, 7);
    fill_b(cpu_adapter, 0.1f, 7);
  }
  CausalLm gpu, cpu;
  Adapter gpu_adapter, cpu_adapter;
};

inline std::vector<std::vector<int64_t>> random_sequences(int64_t vocab_size, const std::vector<int64_t>& lengths) {
  std::vector<std::vector<int64_t>> sequences;
  for (size_t i = 0; i < lengths.size(); ++i) {
    Rng rng = Rng::stream(11, Purpose::kTask, {i});
    std::vector<int64_t>& ids = sequences.emplace_back();
    while (static_cast<int64_t>(ids.size()) < lengths[i])
      ids.push_back(static_cast<int64_t>(rng.below(static_cast<uint64_t>(vocab_size))));
  }
  return sequences;
}

inline TokenBatch batch_on(const std::vector<std::vector<int64_t>>& sequences, at::Device device) {
  TokenBatch batch = batch_of(sequences);
  batch.ids = batch.ids.to(device);
  batch.positions = batch.positions.to(device);
  return batch;
}

// f32 log-probs of every next token, [N, V], on the CPU.
inline Tensor all_logprobs(const CausalLm& model, const AdapterStack& stack, const TokenBatch& batch) {
  const at::NoGradGuard no_grad;
  return at::log_softmax(logits_of(model, stack, batch).to(at::kFloat), 1).cpu();
}

inline double mean_difference(const Tensor& a, const Tensor& b) { return a.sub(b).abs().mean().item<double>(); }

// Two prompts, one of which ends in the middle of a page, each with completions that name it as their prefix; and the
// same sequences each with a prompt of its own. `packed_rows` and `unpacked_rows` on the CPU name the completions' rows
// in both.
struct SharedBatch {
  TokenBatch packed, unpacked;
  Tensor packed_rows, unpacked_rows;
};
inline SharedBatch shared_prefix_batch(int64_t vocab_size, at::Device device) {
  const std::vector<std::vector<int64_t>> prompts = random_sequences(vocab_size, {37, 64});
  const std::vector<std::vector<int64_t>> endings = random_sequences(vocab_size, {9, 30, 1, 21, 16});
  const std::vector<size_t> prompt_of = {0, 0, 0, 1, 1};
  SharedBatch shared;
  std::vector<int64_t> ids, positions, packed_rows, unpacked_rows;
  std::vector<std::vector<int64_t>> whole;
  int64_t whole_row = 0;
  for (size_t i = 0; i < endings.size(); ++i) {
    const std::vector<int64_t>& prompt = prompts[prompt_of[i]];
    const auto add = [&](const std::vector<int64_t>& tokens, int64_t first_position, int64_t prefix) {
      shared.packed.segments.push_back(
          Segment{static_cast<int64_t>(ids.size()), static_cast<int64_t>(tokens.size()), prefix, -1});
      for (size_t t = 0; t < tokens.size(); ++t) positions.push_back(first_position + static_cast<int64_t>(t));
      ids.insert(ids.end(), tokens.begin(), tokens.end());
    };
    if (i == 0 || prompt_of[i] != prompt_of[i - 1]) add(prompt, 0, -1);
    int64_t prefix = static_cast<int64_t>(shared.packed.segments.size()) - 1;
    while (shared.packed.segments[static_cast<size_t>(prefix)].prefix_segment >= 0) --prefix;
    for (size_t t = 0; t < endings[i].size(); ++t) {
      packed_rows.push_back(static_cast<int64_t>(ids.size() + t));
      unpacked_rows.push_back(whole_row + static_cast<int64_t>(prompt.size() + t));
    }
    add(endings[i], static_cast<int64_t>(prompt.size()), prefix);
    whole.push_back(prompt);
    whole.back().insert(whole.back().end(), endings[i].begin(), endings[i].end());
    whole_row += static_cast<int64_t>(whole.back().size());
  }
  shared.packed.ids = at::tensor(ids, at::kLong).to(device);
  shared.packed.positions = at::tensor(positions, at::kLong).to(device);
  shared.unpacked = batch_on(whole, device);
  shared.packed_rows = at::tensor(packed_rows, at::kLong);
  shared.unpacked_rows = at::tensor(unpacked_rows, at::kLong);
  return shared;
}

}  // namespace noregret
