#include "noregret/run/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "noregret/train/learner.h"

namespace noregret {
namespace {

constexpr double kProcess = 0.2e9;
constexpr double kCudaWorkspaces = 0.1e9;  // of matrix products, and what captured graphs hold
constexpr double kUsable = 0.9;            // of what is free
constexpr int64_t kPromptTokens = 256;
constexpr int64_t kPrefillTokens = 4096;  // of one forward

int64_t panels(int64_t n) { return (n + 15) / 16 * 16; }
bool on_cuda(const ModelShapes& shapes) { return shapes.backend == Backend::kCuda; }

// Numbers that a layer keeps of each row for its backward pass, its input among them.
int64_t kept_per_row(const HfConfig& c) {
  return 2 * c.hidden_size + 2 + 2 * c.num_heads * c.head_dim + 2 * c.num_kv_heads * c.head_dim +
         2 * c.intermediate_size;
}

// Of a layer at work, beside what it keeps. On CUDA what a backward pass holds: the activation again, its gradient and
// those of gate and up; three rows of the residual stream.
int64_t working_per_row(const ModelShapes& shapes) {
  const HfConfig& c = shapes.hf;
  if (on_cuda(shapes)) return 4 * c.intermediate_size + 3 * c.hidden_size;
  return 2 * (kept_per_row(c) + c.hidden_size + c.intermediate_size);
}

// Of what is trained: master, gradient, two moments, three copies while an update is checked, and three that a
// checkpoint is written from, which lie on the CPU.
int64_t num_copies(const ModelShapes& shapes) { return on_cuda(shapes) ? 7 : 10; }

// And four packings, or bf16 columns.
double adapter_bytes(const ModelShapes& shapes) {
  double bytes = 0.0;
  for (const ModelShapes::LowRank& site : shapes.adapter) {
    const int64_t both = site.in + site.out;
    const int64_t packed = on_cuda(shapes)
                               ? panels(site.rank) * both / 2
                               : panels(site.rank) * both + site.rank * (panels(site.in) + panels(site.out));
    bytes += 4.0 * static_cast<double>(num_copies(shapes) * site.rank * both + packed);
  }
  return bytes;
}

double weight_count(const HfConfig& c) {
  const double layer =
      static_cast<double>(c.hidden_size) *
      static_cast<double>(2 * c.num_heads * c.head_dim + 2 * c.num_kv_heads * c.head_dim + 3 * c.intermediate_size + 2);
  const double matrices = c.tie_word_embeddings ? 1.0 : 2.0;
  return static_cast<double>(c.num_layers) * layer +
         matrices * static_cast<double>(c.vocab_size) * static_cast<double>(c.hidden_size);
}

double groups_of(const RunConfig& config) { return static_cast<double>(std::max<int64_t>(1, config.rollout.groups)); }
double number_bytes(const ModelShapes& shapes) { return on_cuda(shapes) ? 2.0 : 4.0; }

// Keys, values and logits of the sequences that decode together.
double decode_bytes(const RunConfig& config, const ModelShapes& shapes) {
  const HfConfig& c = shapes.hf;
  const auto batch = static_cast<double>(max_batch_of(config.rollout, on_cuda(shapes)));
  // On the CPU pages that are not written take no memory, and a group shares those of its prompt.
  const double positions =
      on_cuda(shapes) ? batch * static_cast<double>(panels(kPromptTokens + config.rollout.max_new_tokens))
                      : batch * static_cast<double>(config.rollout.max_new_tokens) + groups_of(config) * kPromptTokens;
  const double keys =
      static_cast<double>(c.num_layers) * static_cast<double>(c.num_kv_heads * (c.head_dim + panels(c.head_dim)));
  return number_bytes(shapes) * positions * keys + 4.0 * batch * static_cast<double>(c.vocab_size);
}

double prefill_bytes(const RunConfig& config, const ModelShapes& shapes) {
  const HfConfig& c = shapes.hf;
  const double rows = std::min<double>(kPrefillTokens, groups_of(config) * kPromptTokens);
  return number_bytes(shapes) * rows * static_cast<double>(kept_per_row(c) + c.hidden_size + c.intermediate_size);
}

double learning_bytes(const RunConfig& config, const ModelShapes& shapes) {
  const HfConfig& c = shapes.hf;
  const auto rows = static_cast<double>(config.train.microbatch_tokens);
  const auto vocab = static_cast<double>(c.vocab_size);
  const auto layers = static_cast<double>(c.num_layers);
  const bool recomputes = config.train.gradient_checkpointing;
  double kept = layers * static_cast<double>(recomputes ? c.hidden_size : kept_per_row(c));
  if (recomputes && on_cuda(shapes)) kept += static_cast<double>(kept_per_row(c));
  const double per_row = kept + static_cast<double>(working_per_row(shapes));
  const auto chunk =
      static_cast<double>(head_chunk_tokens(config.train, on_cuda(shapes) ? at::Device(at::kCUDA, 0) : at::kCPU));
  if (on_cuda(shapes)) {  // logits f32, their gradients bf16; log-sums f32
    const double sums = 4.0 * layers * static_cast<double>(c.num_heads);
    return rows * (2.0 * per_row + sums) + 6.0 * chunk * vocab;
  }
  const double head = vocab * static_cast<double>(c.hidden_size);  // its transpose
  return 4.0 * (rows * per_row + chunk * vocab) + (!shapes.is_full && c.dtype == "bfloat16" ? 2.0 : 4.0) * head;
}

// The largest size from 1 to `size` that fits, if any does.
template <class Fits>
int64_t largest(int64_t size, const Fits& fits) {
  if (fits(size)) return size;
  int64_t good = 1, bad = size;
  while (good + 1 < bad) {
    const int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace

ModelShapes shapes_of(const CausalLm& model, const Adapter* adapter) {
  ModelShapes shapes{.hf = model.config(), .backend = model.backend(), .is_full = adapter == nullptr};
  if (adapter == nullptr) return shapes;
  for (size_t i = 0; i < model.sites().size(); ++i) {
    if (const Adapter::LowRank* low_rank = adapter->find(static_cast<int64_t>(i)))
      shapes.adapter.push_back({low_rank->a.size(0), low_rank->a.size(1), low_rank->b.size(0)});
  }
  return shapes;
}

std::string MemoryPlan::text() const {
  char of_cache[32] = "", text[160];
  if (cache > 0.0) std::snprintf(of_cache, sizeof of_cache, "cache %.2f, ", cache / 1e9);
  std::snprintf(
      text, sizeof text,
      "about %.2f GB at the peak (weights %.2f, trained %.2f, %ssampling %.2f or learning %.2f, program %.2f)",
      total() / 1e9, weights / 1e9, trained / 1e9, of_cache, sampling / 1e9, learning / 1e9, process / 1e9);
  return text;
}

MemoryPlan plan_memory(const RunConfig& config, const ModelShapes& shapes) {
  const double count = weight_count(shapes.hf);
  const bool is_bf16 = on_cuda(shapes) || (!shapes.is_full && shapes.hf.dtype == "bfloat16");
  MemoryPlan plan;
  plan.process = on_cuda(shapes) ? kCudaWorkspaces : kProcess;
  plan.weights = (is_bf16 ? 2.0 : 4.0) * count;
  // All weights: on the CPU the masters are among them, and panels are not; on CUDA the other way round.
  plan.trained = shapes.is_full ? 4.0 * static_cast<double>(num_copies(shapes)) * count : adapter_bytes(shapes);
  const bool evaluates = config.eval.every > 0;
  if (config.mode == "rl" || evaluates) {
    plan.sampling = prefill_bytes(config, shapes);
    (on_cuda(shapes) ? plan.cache : plan.sampling) += decode_bytes(config, shapes);
  }
  plan.learning = learning_bytes(config, shapes);
  return plan;
}

BatchSizes sizes_that_fit(RunConfig config, const ModelShapes& shapes, double free_bytes) {
  const MemoryPlan plan = plan_memory(config, shapes);
  const double workspaces = on_cuda(shapes) ? plan.process : 0.0;  // on the CPU the program is there already
  const double room = kUsable * free_bytes - workspaces - plan.trained;
  BatchSizes sizes;
  sizes.max_batch = largest(max_batch_of(config.rollout, on_cuda(shapes)), [&](int64_t size) {
    config.rollout.max_batch = size;
    const MemoryPlan of_size = plan_memory(config, shapes);
    return of_size.cache <= room / 2 && of_size.cache + of_size.sampling <= room;
  });
  config.rollout.max_batch = sizes.max_batch;
  sizes.microbatch_tokens = largest(config.train.microbatch_tokens, [&](int64_t size) {
    config.train.microbatch_tokens = size;
    const MemoryPlan of_size = plan_memory(config, shapes);
    return of_size.cache + of_size.learning <= room;
  });
  return sizes;
}

}  // namespace noregret
