#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/metrics.h"
#include "noregret/nn/causal_lm.h"
#include "noregret/objective/objective_options.h"
#include "noregret/objective/train_batch.h"
#include "noregret/train/adam.h"
#include "noregret/train/train_options.h"

namespace noregret {

// Forward, loss, backward, update. The only code that calls backward.
class Learner {
 public:
  struct Setup {
    const CausalLm* model;   // borrowed
    AdapterStack policy;     // what is trained and sampled from; empty = full fine-tuning
    AdapterStack reference;  // for kl_coef > 0; empty = the base
    ObjectiveOptions objective;
    TrainOptions train;
    bool exact = false;  // the sampler's log-probs must equal this learner's, bit for bit
    // Called before each microbatch of a step's first pass, with its index. What it throws leaves everything as it was.
    std::function<void(int64_t microbatch_idx)> tick;
  };
  // `optimizer` holds the policy's parameters and is borrowed. Throws ConfigError for kl_coef > 0 in full fine-tuning,
  // where there is no second copy of the weights.
  Learner(Setup setup, Adam& optimizer);

  // One step: updates_per_batch passes over the batch. When a log-prob, the loss, a gradient or a weight is not finite,
  // the update is skipped, weights and moments stay, the passes left are left out, and the metric optim/skipped says
  // so. An empty batch changes nothing (optim/skipped 0).
  // Returns loss/value, policy/*, optim/{lr, grad_norm, skipped}: means over the passes, maxima where the name says so;
  // values that are not finite are left out. policy/{max,mean}_abs_logprob_diff and policy/kl_sampler_learner, the mean
  // of sampler_logprob - logprob, compare the sampler's stored values with this learner's forward before the first
  // update. Throws DivergedError after train.max_skipped_updates skipped updates in a row; before anything is changed,
  // ExactnessError where the batch was sampled with other adapters than the policy's as it is now, and, when exact,
  // where a log-prob differs.
  Metrics step(TrainBatch& batch);

  int64_t num_skipped_in_row() const { return num_skipped_in_row_; }
  void set_num_skipped_in_row(int64_t count) { num_skipped_in_row_ = count; }

 private:
  using NonFinite = std::optional<std::string>;  // what was not finite
  struct Pass {
    bool is_first = false;
    double loss = 0.0;
    MetricSums metrics;
  };
  NonFinite update(const TrainBatch& batch, bool is_first, MetricSums& sums);
  NonFinite accumulate(const Microbatch& microbatch, const TrainBatch& batch, Pass& pass) const;
  void check_policy(const TrainBatch& batch) const;
  void fill_reference(TrainBatch& batch) const;
  void count_skipped(const NonFinite& found);

  Setup setup_;
  Adam& optimizer_;
  int64_t num_skipped_in_row_ = 0;
};

// The option, or what its 0 stands for.
int64_t head_chunk_tokens(const TrainOptions& options, at::Device device);

// Log-probs of the targets without gradients, the head in chunks: what `score` and the reference pass use.
//   loss_rows [M] int64: the hidden row that predicts each target; targets [M] int64 -> [M] f32
Tensor score_tokens(const CausalLm& model, const AdapterStack& stack, const TokenBatch& tokens, const Tensor& loss_rows,
                    const Tensor& targets, double temperature, int64_t head_chunk_tokens);

}  // namespace noregret
