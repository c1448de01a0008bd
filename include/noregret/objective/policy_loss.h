#pragma once

#include "noregret/objective/objective_options.h"
#include "noregret/objective/train_batch.h"
#include "noregret/tensor/tensor_sums.h"

namespace noregret {

struct LossResult {
  Tensor loss;         // scalar f32: this microbatch's part of the step's loss, differentiable in `logprobs`
  TensorSums metrics;  // policy/{entropy, ratio_max, clip_frac, kl_reference}: those that the objective has
};

// The part of the step's loss that a microbatch adds: sum over its tokens / num_loss_tokens, so that neither microbatch
// size nor order changes the sum. With r = exp(logp - sampler_logp), A = weights, maximized (so negated here):
//   is             r A                                     no clip (importance sampling)
//   ppo            min(r A, clip(r, 1-eps, 1+eps) A)       arXiv:1707.06347, eq. 7
//   cross_entropy  A logp                                  negative log-likelihood where A = 1
// plus kl_coef * d^2 / 2, d = logp - ref_logp, whose gradient is that of KL(policy || reference) on policy (k2;
// arXiv:2512.21852). `logprobs` and `entropy` are [M]. Throws ConfigError when a column that the objective needs is
// undefined.
LossResult policy_loss(const ObjectiveOptions& options, const Tensor& logprobs, const Tensor& entropy,
                       const Microbatch& batch, int64_t num_loss_tokens);

}  // namespace noregret
