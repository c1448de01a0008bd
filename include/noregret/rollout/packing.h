#pragma once

#include <cstdint>
#include <vector>

#include "noregret/objective/train_batch.h"
#include "noregret/rollout/trajectory.h"

namespace noregret {

// A sequence with loss on some of its tokens: SFT examples.
struct Example {
  std::vector<int64_t> ids;
  std::vector<bool> has_loss;  // one an id; the first id never has loss
};

// Groups -> packed microbatches: the prompt once a group (a segment that its completions name as prefix), at most
// `microbatch_tokens` tokens each unless one group member alone is longer. Trajectories that are not valid are left
// out, as is the loss on inserted ids; and, unless `keeps_zeros`, those with advantage 0, which changes no gradient of
// a loss that is a multiple of the advantage: num_loss_tokens counts all valid ones. The groups' adapter digest is the
// batch's.
TrainBatch pack_groups(const std::vector<TrajectoryGroup>& groups, int64_t microbatch_tokens, double temperature,
                       at::Device device, bool keeps_zeros = false);

// Examples -> packed microbatches, weight 1 on each loss token.
TrainBatch pack_examples(const std::vector<Example>& examples, int64_t microbatch_tokens, at::Device device);

}  // namespace noregret
