#include "noregret/train/learner.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/objective/policy_loss.h"
#include "train/trunk.h"

namespace noregret {
namespace {

constexpr const char* kLargestGap = "policy/max_abs_logprob_diff";

// How far the learner's log-probs are from what the sampler stored.
void add_sampler_gap(const Tensor& sampler_logprobs, const Tensor& logprobs, TensorSums& sums) {
  const Tensor gap = sampler_logprobs.sub(logprobs);
  sums.add_max(kLargestGap, gap.abs().max());
  sums.add("policy/mean_abs_logprob_diff", gap.abs().sum(), static_cast<double>(gap.numel()));
  sums.add("policy/kl_sampler_learner", gap.sum(), static_cast<double>(gap.numel()));
}

void check_sampler_gap(double largest) {
  if (largest == 0.0) return;
  throw ExactnessError(cat("a sampler's log-prob differs from the learner's by ", largest,
                           ", want 0: they did not compute the same forward with the same weights; report it, or set "
                           "rollout.exact: false to go on and only measure policy/max_abs_logprob_diff"));
}

std::string non_finite_gradient(const Adam& optimizer) {
  for (const auto& [name, parameter] : optimizer.parameters()) {
    if (parameter.grad().defined() && !all_finite(parameter.grad())) return "the gradient of " + name;
  }
  return "the gradient's norm";
}

Metrics finite_only(const Metrics& metrics) {
  Metrics kept;
  for (const auto& [name, value] : metrics.items()) {
    if (std::isfinite(value)) kept.set(name, value);
  }
  return kept;
}

// The columns of `length` tokens from `begin` on. The packed tokens are left out.
Microbatch columns(const Microbatch& microbatch, int64_t begin, int64_t length) {
  const auto part = [&](const Tensor& column) { return column.defined() ? column.narrow(0, begin, length) : column; };
  return {.loss_rows = part(microbatch.loss_rows),
          .targets = part(microbatch.targets),
          .weights = part(microbatch.weights),
          .sequence_idx = part(microbatch.sequence_idx),
          .sampler_logprobs = part(microbatch.sampler_logprobs),
          .ref_logprobs = part(microbatch.ref_logprobs)};
}

}  // namespace

int64_t head_chunk_tokens(const TrainOptions& options, at::Device device) {
  if (options.head_chunk_tokens > 0) return options.head_chunk_tokens;
  return device.is_cuda() ? 512 : 256;
}

Learner::Learner(Setup setup, Adam& optimizer) : setup_(std::move(setup)), optimizer_(optimizer) {
  NOREGRET_CHECK(setup_.model != nullptr);
  setup_.train.head_chunk_tokens = head_chunk_tokens(setup_.train, setup_.model->device());
  for (const auto& [name, parameter] : optimizer_.parameters())
    NOREGRET_CHECK(parameter.requires_grad(), name, " is frozen");
  if (setup_.policy.empty() && setup_.objective.kl_coef > 0) {
    throw ConfigError(cat("objective.kl_coef is ", setup_.objective.kl_coef,
                          ", want 0 in full fine-tuning: there is no second copy of "
                          "the weights to compare with; train an adapter, or leave the key out"));
  }
}

void Learner::check_policy(const TrainBatch& batch) const {
  if (batch.policy_digest.empty()) return;
  const std::string digest = setup_.model->policy_digest(setup_.policy);
  if (batch.policy_digest == digest) return;
  throw ExactnessError(cat("the batch was sampled with adapter ", batch.policy_digest.substr(0, 12),
                           ", the learner's is ", digest.substr(0, 12),
                           ": the sampler's adapter is stale; sample from the policy that is trained"));
}

Metrics Learner::step(TrainBatch& batch) {
  check_policy(batch);
  if (setup_.objective.kl_coef > 0) fill_reference(batch);
  MetricSums sums;
  NonFinite found;
  int64_t num_passes = 0;
  if (!batch.microbatches.empty()) {
    for (; num_passes < setup_.train.updates_per_batch && !found; ++num_passes)
      found = update(batch, num_passes == 0, sums);
    optimizer_.zero_grad();  // frees them
    count_skipped(found);
  }
  Metrics metrics = finite_only(sums.finish());
  if (batch.microbatches.empty()) {
    metrics.set("loss/value", 0.0);
    metrics.set("optim/grad_norm", 0.0);
  }
  metrics.set("optim/lr", optimizer_.lr());
  metrics.set("optim/skipped", found ? 1.0 : 0.0);
  return metrics;
}

Learner::NonFinite Learner::update(const TrainBatch& batch, bool is_first, MetricSums& sums) {
  optimizer_.zero_grad();
  Pass pass{.is_first = is_first};
  for (const Microbatch& microbatch : batch.microbatches) {
    if (is_first && setup_.tick) setup_.tick(&microbatch - batch.microbatches.data());
    if (microbatch.num_loss_tokens() == 0) continue;
    if (NonFinite found = accumulate(microbatch, batch, pass)) return found;
  }
  const double norm = optimizer_.grad_norm();
  sums.add("loss/value", pass.loss, 1.0);
  sums.merge(pass.metrics);
  sums.add("optim/grad_norm", norm, 1.0);
  if (!std::isfinite(norm)) return non_finite_gradient(optimizer_);
  optimizer_.clip_grad_norm(norm);
  if (!optimizer_.step()) return "a weight after the update";
  return std::nullopt;
}

// The head and the loss go by chunks of tokens, so that the logits of all never exist together. The loss is a sum over
// tokens, and each chunk's gradients are formed while its logits are there. Its numbers are looked at when all is
// queued, so that a device need not wait for the host between chunks.
Learner::NonFinite Learner::accumulate(const Microbatch& microbatch, const TrainBatch& batch, Pass& pass) const {
  const CausalLm& model = *setup_.model;
  Trunk trunk(model, setup_.policy, microbatch.tokens, microbatch.loss_rows, setup_.train.gradient_checkpointing);
  const Tensor rows = trunk.hidden();
  std::vector<Tensor> grad_rows, logprobs, losses;
  TensorSums sums;
  for (int64_t begin = 0; begin < rows.size(0); begin += setup_.train.head_chunk_tokens) {
    const int64_t length = std::min(setup_.train.head_chunk_tokens, rows.size(0) - begin);
    const Microbatch chunk = columns(microbatch, begin, length);
    const Tensor leaf = rows.narrow(0, begin, length).detach().requires_grad_(trunk.needs_grad());
    const TokenScores scores = model.token_scores(leaf, chunk.targets, batch.temperature, setup_.policy);
    logprobs.push_back(scores.logprobs.detach());
    if (pass.is_first && chunk.sampler_logprobs.defined())
      add_sampler_gap(chunk.sampler_logprobs, scores.logprobs.detach(), sums);
    const LossResult result =
        policy_loss(setup_.objective, scores.logprobs, scores.entropy, chunk, batch.num_loss_tokens);
    sums.merge(result.metrics);
    losses.push_back(result.loss.detach());
    result.loss.backward();
    if (trunk.needs_grad()) grad_rows.push_back(leaf.grad());
  }
  if (trunk.needs_grad()) trunk.backward(at::cat(grad_rows));
  if (!all_finite(at::cat(logprobs))) return "a log-prob";
  const MetricSums found = sums.read();
  const Metrics numbers = found.finish();
  if (setup_.exact && numbers.has(kLargestGap)) check_sampler_gap(numbers.get(kLargestGap));
  pass.metrics.merge(found);
  pass.loss += at::stack(losses).to(at::kDouble).sum().item<double>();
  if (!std::isfinite(pass.loss)) return "the loss";
  return std::nullopt;
}

void Learner::fill_reference(TrainBatch& batch) const {
  for (Microbatch& microbatch : batch.microbatches) {
    microbatch.ref_logprobs = score_tokens(*setup_.model, setup_.reference, microbatch.tokens, microbatch.loss_rows,
                                           microbatch.targets, batch.temperature, setup_.train.head_chunk_tokens);
  }
}

void Learner::count_skipped(const NonFinite& found) {
  if (!found) {
    num_skipped_in_row_ = 0;
    return;
  }
  ++num_skipped_in_row_;
  if (num_skipped_in_row_ < setup_.train.max_skipped_updates) return;
  throw DivergedError(cat("training diverged: ", num_skipped_in_row_,
                          " updates in a row (train.max_skipped_updates) were skipped, the "
                          "last because ",
                          *found, " is not finite; weights are finite and as before; lower optimizer.lr, now ",
                          optimizer_.lr(), " (auto = the recipe's law), and go on from the last checkpoint"));
}

Tensor score_tokens(const CausalLm& model, const AdapterStack& stack, const TokenBatch& tokens, const Tensor& loss_rows,
                    const Tensor& targets, double temperature, int64_t head_chunk_tokens) {
  const at::NoGradGuard no_grad;
  if (loss_rows.size(0) == 0) return at::empty({0}, at::TensorOptions(at::kFloat).device(loss_rows.device()));
  const Tensor rows = model.forward(tokens, stack, nullptr, loss_rows);
  std::vector<Tensor> logprobs;
  for (int64_t begin = 0; begin < rows.size(0); begin += head_chunk_tokens) {
    const int64_t length = std::min(head_chunk_tokens, rows.size(0) - begin);
    logprobs.push_back(
        model.token_scores(rows.narrow(0, begin, length), targets.narrow(0, begin, length), temperature, stack)
            .logprobs);
  }
  return at::cat(logprobs);
}

}  // namespace noregret
