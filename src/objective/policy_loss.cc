#include "noregret/objective/policy_loss.h"

#include <ATen/ops/minimum.h>

#include "noregret/base/check.h"
#include "noregret/base/error.h"

namespace noregret {
namespace {

const Tensor& column(const char* name, const Tensor& values, const Tensor& logprobs, const std::string& needed_by) {
  if (!values.defined()) {
    throw ConfigError(cat("the batch has no column ", name, ", which ", needed_by,
                          " needs; it comes from rollouts (mode: rl), not "
                          "from data files"));
  }
  check_shape(cat("policy_loss: ", name), values, {logprobs.size(0)});
  return values;
}

// Per token, to be maximized.
struct Surrogate {
  Tensor value;       // [M]
  Tensor ratio;       // [M], or undefined: not an importance-weighted objective
  Tensor is_clipped;  // [M] bool, or undefined
};

Surrogate surrogate(const ObjectiveOptions& options, const Tensor& logprobs, const Microbatch& batch) {
  const std::string needed_by = "objective.name: " + options.name;
  const Tensor& weights = column("weights", batch.weights, logprobs, needed_by);
  if (options.name == "cross_entropy") return {.value = logprobs.mul(weights)};
  if (options.name != "is" && options.name != "ppo") {
    const std::vector<std::string> known = {"is", "ppo", "cross_entropy"};
    throw ConfigError(cat("objective.name is ", quoted(options.name), ", want one of ", join(known, " "),
                          did_you_mean(options.name, known)));
  }
  const Tensor& sampler_logprobs = column("sampler_logprobs", batch.sampler_logprobs, logprobs, needed_by);
  const Tensor ratio = logprobs.sub(sampler_logprobs).exp();
  const Tensor weighted = ratio.mul(weights);
  if (options.name == "is") return {.value = weighted, .ratio = ratio.detach()};
  const Tensor clipped = ratio.clamp(1.0 - options.clip_eps, 1.0 + options.clip_eps).mul(weights);
  return {.value = at::minimum(weighted, clipped),
          .ratio = ratio.detach(),
          .is_clipped = clipped.detach().lt(weighted.detach())};
}

}  // namespace

LossResult policy_loss(const ObjectiveOptions& options, const Tensor& logprobs, const Tensor& entropy,
                       const Microbatch& batch, int64_t num_loss_tokens) {
  check_rank("policy_loss: logprobs", logprobs, 1);
  check_shape("policy_loss: entropy", entropy, {logprobs.size(0)});
  NOREGRET_CHECK(num_loss_tokens > 0 && num_loss_tokens >= logprobs.size(0), logprobs.size(0), " loss tokens of ",
                 num_loss_tokens);
  if (options.aggregation != "token_mean") {
    throw ConfigError(cat("objective.aggregation is ", quoted(options.aggregation), ", want token_mean"));
  }
  const auto num_tokens = static_cast<double>(logprobs.size(0));
  const Surrogate terms = surrogate(options, logprobs, batch);
  Tensor loss = terms.value.sum().neg();
  LossResult result;
  TensorSums& metrics = result.metrics;
  if (options.kl_coef > 0) {
    const Tensor& ref_logprobs = column("ref_logprobs", batch.ref_logprobs, logprobs, "objective.kl_coef > 0");
    const Tensor difference = logprobs.sub(ref_logprobs);
    loss = loss.add(difference.square().sum(), options.kl_coef / 2);
    // k3: unbiased and never negative where tokens come from the policy (joschu.net/blog/kl-approx.html).
    const Tensor detached = difference.detach();
    metrics.add("policy/kl_reference", detached.neg().expm1().add(detached).sum(), num_tokens);
  }
  result.loss = loss.div(static_cast<double>(num_loss_tokens));
  metrics.add("policy/entropy", entropy.sum(), num_tokens);
  if (num_tokens == 0) return result;
  if (terms.ratio.defined()) metrics.add_max("policy/ratio_max", terms.ratio.max());
  if (terms.is_clipped.defined()) metrics.add("policy/clip_frac", terms.is_clipped.sum(), num_tokens);
  return result;
}

}  // namespace noregret
