#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "noregret/config/run_config.h"
#include "noregret/nn/causal_lm.h"

namespace noregret {

// What the size of a run's memory follows from, besides its config.
struct ModelShapes {
  struct LowRank {
    int64_t rank = 0, in = 0, out = 0;
  };
  HfConfig hf;
  Backend backend = Backend::kKernels;  // kKernels: f32 on the CPU; kCuda: bf16
  bool is_full = false;                 // all weights are trained, in place of an adapter
  std::vector<LowRank> adapter;         // of each adapted layer
};
ModelShapes shapes_of(const CausalLm& model, const Adapter* adapter);  // null = full fine-tuning

// What a run will hold at its peak, in bytes, from the shapes alone.
struct MemoryPlan {
  double process = 0.0;   // program and LibTorch before any model, measured; on CUDA workspaces of libraries
  double weights = 0.0;   // of the base
  double trained = 0.0;   // what is trained: gradients, moments, an update's copies, panels or bf16 columns
  double cache = 0.0;     // on CUDA keys, values and logits of decode steps, which stay while the learner works
  double sampling = 0.0;  // a prefill's activations; on the CPU keys, values and logits, too
  double learning = 0.0;  // a microbatch's activations and the head's chunk

  // Sampling and learning take turns.
  double total() const { return process + weights + trained + cache + (sampling > learning ? sampling : learning); }
  std::string text() const;  // "about 1.2 GB at the peak (weights 0.27, trained 0.10, sampling 0.30, learning 0.65)"
};

// Prompts are taken to be 256 tokens long.
MemoryPlan plan_memory(const RunConfig& config, const ModelShapes& shapes);

// How much is done at a time: rollout.max_batch, train.microbatch_tokens.
struct BatchSizes {
  int64_t max_batch = 0;
  int64_t microbatch_tokens = 0;

  bool operator==(const BatchSizes&) const = default;
};
// The config's sizes; or, where a phase would not fit, the largest that let it, at least 1: first of the batch, whose
// cache may take half of the room, then of the microbatch, which gets what the cache leaves. `free_bytes` is what is
// left once weights are loaded; a tenth of it is kept for what no plan knows.
BatchSizes sizes_that_fit(RunConfig config, const ModelShapes& shapes, double free_bytes);

}  // namespace noregret
