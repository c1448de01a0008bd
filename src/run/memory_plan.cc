#include "noregret/run/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "noregret/train/learner.h"

namespace noregret {
namespace {

constexpr double kProcess = 0.2e9;
constexpr int64_t kPromptTokens = 256;
constexpr int64_t kPrefillTokens = 4096;  // of one forward

int64_t panels(int64_t n) { return (n + 15) / 16 * 16; }

// Floats that a layer keeps of each row for its backward pass, its input among them.
int64_t kept_per_row(const HfConfig& c) {
  return 2 * c.hidden_size + 2 + 2 * c.num_heads * c.head_dim + 2 * c.num_kv_heads * c.head_dim +
         2 * c.intermediate_size;
}

// Master, gradient, two moments, and three copies while an update is checked; and four packings.
double adapter_bytes(const CausalLm& model, const Adapter& adapter) {
  double floats = 0.0;
  for (size_t i = 0; i < model.sites().size(); ++i) {
    const Adapter::LowRank* low_rank = adapter.find(static_cast<int64_t>(i));
    if (low_rank == nullptr) continue;
    const int64_t rank = low_rank->a.size(0), in = low_rank->a.size(1), out = low_rank->b.size(0);
    floats +=
        static_cast<double>(7 * rank * (in + out) + panels(rank) * (in + out) + rank * (panels(in) + panels(out)));
  }
  return 4.0 * floats;
}

double weight_count(const HfConfig& c) {
  const double layer =
      static_cast<double>(c.hidden_size) *
      static_cast<double>(2 * c.num_heads * c.head_dim + 2 * c.num_kv_heads * c.head_dim + 3 * c.intermediate_size + 2);
  const double matrices = c.tie_word_embeddings ? 1.0 : 2.0;
  return static_cast<double>(c.num_layers) * layer +
         matrices * static_cast<double>(c.vocab_size) * static_cast<double>(c.hidden_size);
}

}  // namespace

std::string MemoryPlan::text() const {
  char text[160];
  std::snprintf(text, sizeof text,
                "about %.2f GB at the peak (weights %.2f, trained %.2f, sampling %.2f or learning %.2f, program %.2f)",
                total() / 1e9, weights / 1e9, trained / 1e9, sampling / 1e9, learning / 1e9, process / 1e9);
  return text;
}

MemoryPlan plan_memory(const RunConfig& config, const CausalLm& model, const Adapter* adapter) {
  const HfConfig& c = model.config();
  const auto layers = static_cast<double>(c.num_layers);
  const auto vocab = static_cast<double>(c.vocab_size);
  const double count = weight_count(c);
  const double head = vocab * static_cast<double>(c.hidden_size);
  const bool is_bf16 = adapter != nullptr && c.dtype == "bfloat16";
  MemoryPlan plan;
  plan.process = kProcess;
  plan.weights = (is_bf16 ? 2.0 : 4.0) * count;
  plan.trained =
      adapter != nullptr ? adapter_bytes(model, *adapter) : 4.0 * 7.0 * count;  // 6 beside the weights; panels

  const auto row = static_cast<double>(kept_per_row(c) + c.hidden_size + c.intermediate_size);  // of a layer at work
  const bool evaluates = config.eval.every > 0;
  if (config.mode == "rl" || evaluates) {
    const double batch = static_cast<double>(config.rollout.max_batch);
    const double groups = static_cast<double>(std::max<int64_t>(1, config.rollout.groups));
    const double positions = batch * static_cast<double>(config.rollout.max_new_tokens) + groups * kPromptTokens;
    const double keys = layers * static_cast<double>(c.num_kv_heads * (c.head_dim + panels(c.head_dim)));
    const double prefill = std::min<double>(kPrefillTokens, groups * kPromptTokens);
    plan.sampling = 4.0 * (positions * keys + prefill * row + batch * vocab);
  }
  const auto rows = static_cast<double>(config.train.microbatch_tokens);
  const double kept = config.train.gradient_checkpointing ? layers * static_cast<double>(c.hidden_size)
                                                          : layers * static_cast<double>(kept_per_row(c));
  plan.learning =
      4.0 * (rows * (kept + 2.0 * row) + static_cast<double>(head_chunk_tokens(config.train, model.device())) * vocab) +
      (is_bf16 ? 2.0 : 4.0) * head;  // the head's transpose
  return plan;
}

}  // namespace noregret
