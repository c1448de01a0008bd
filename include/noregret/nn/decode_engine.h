#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "noregret/nn/causal_lm.h"

namespace noregret {

// One sequence of a decode step.
struct DecodeRow {
  int64_t slot = 0;      // of the cache; holds `position` tokens
  int64_t position = 0;  // of the token that is fed
  int32_t from = -1;     // the row of the step queued last whose new token is fed; -1 = `token`
  int64_t token = 0;
  float uniform = 0.0f;  // what the next token is sampled with
};

// What of a batch of rows is captured as a graph: their number rounded up; exact, to a power of two.
int64_t decode_bucket(int64_t num_rows, bool is_exact);

// Decode steps on CUDA: forward and sampling of one token a row, captured once for each bucket and queued without
// waiting, so that the host is free to plan the next step. The forward is the model's own. Lives with a model, from
// rollout to rollout.
class DecodeEngine {
 public:
  explicit DecodeEngine(const CausalLm& model);  // of Backend::kCuda; borrowed
  ~DecodeEngine();
  bool is_for(const CausalLm& model) const;

  // Steps are for this policy and cache, which stay as they are until the last step is taken.
  void begin(const AdapterStack& policy, KvCache& cache, double temperature);
  // Appends to the rows' slots. At most kMaxQueued steps are queued and not taken.
  void queue(std::span<const DecodeRow> rows);
  struct Step {
    std::vector<int64_t> ids;  // -1 where the logits were not finite
    std::vector<float> logprobs;
  };
  Step take();  // the oldest; waits for it
  int64_t num_queued() const;

  static constexpr int64_t kMaxQueued = 2;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace noregret
