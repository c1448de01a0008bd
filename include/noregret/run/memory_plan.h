#pragma once

#include <cstdint>
#include <string>

#include "noregret/config/run_config.h"
#include "noregret/nn/causal_lm.h"

namespace noregret {

// What a run on the CPU kernels will hold at its peak, in bytes, from the shapes alone.
struct MemoryPlan {
  double process = 0.0;   // program and LibTorch before any model, measured
  double weights = 0.0;   // of the base
  double trained = 0.0;   // what is trained: gradients, moments, an update's copies, panels
  double sampling = 0.0;  // keys and values, a prefill's activations, logits
  double learning = 0.0;  // a microbatch's activations and the head's chunk

  // Sampling and learning take turns.
  double total() const { return process + weights + trained + (sampling > learning ? sampling : learning); }
  std::string text() const;  // "about 1.2 GB at the peak (weights 0.27, trained 0.10, sampling 0.30, learning 0.65)"
};

// `adapter` null = full fine-tuning. Prompts are taken to be 256 tokens long.
MemoryPlan plan_memory(const RunConfig& config, const CausalLm& model, const Adapter* adapter);

}  // namespace noregret
