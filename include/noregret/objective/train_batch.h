#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "noregret/tensor/tensor.h"
#include "noregret/tensor/token_batch.h"

namespace noregret {

// Packed tokens and, for each of the M tokens that carry loss, one entry in every column. The columns are the only seam
// between rewards and losses. A token is predicted by a row of the hidden states, which for a shared prefix is not the
// row before it.
struct Microbatch {
  TokenBatch tokens;
  Tensor loss_rows;         // [M] int64, hidden row that predicts the token
  Tensor targets;           // [M] int64, the token
  Tensor weights;           // [M] f32: the advantage in RL, 1 in SFT
  Tensor sequence_idx;      // [M] int64, which sequence of the step
  Tensor sampler_logprobs;  // [M] f32, or undefined (SFT)
  Tensor ref_logprobs;      // [M] f32, or undefined; filled by the learner when kl_coef > 0

  int64_t num_loss_tokens() const { return targets.defined() ? targets.size(0) : 0; }
};

// Everything one step trains on.
struct TrainBatch {
  std::vector<Microbatch> microbatches;  // may be empty: no sequence has an advantage
  int64_t num_loss_tokens = 0;  // of the whole step, sequences left out for zero advantage included: divides the loss
  int64_t num_sequences = 0;
  double temperature = 1.0;   // of the policy that is trained
  std::string policy_digest;  // CausalLm::policy_digest() of the sampler; "" = not sampled, or no adapter
};

}  // namespace noregret
