#include "train/chunked_head.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/softmax.h>

#include <algorithm>

#include "noregret/base/check.h"
#include "noregret/objective/policy_loss.h"

namespace noregret {

ChunkedHead::ChunkedHead(const CausalLm& model, const AdapterStack& stack, Tensor rows, Tensor targets, Options options)
    : model_(model), stack_(stack), rows_(std::move(rows)), targets_(std::move(targets)), options_(options) {
  check_rank("hidden rows", rows_, 2);
  check_shape("targets", targets_, {rows_.size(0)});
  NOREGRET_CHECK(options_.chunk_tokens > 0, options_.chunk_tokens);
}

ChunkedHead::Chunk ChunkedHead::chunk(int64_t begin) const {
  const int64_t length = std::min(options_.chunk_tokens, rows_.size(0) - begin);
  Chunk chunk{
      .begin = begin, .rows = rows_.narrow(0, begin, length).detach(), .targets = targets_.narrow(0, begin, length)};
  chunk.rows.requires_grad_(options_.needs_row_grad);
  chunk.logits = model_.logits(chunk.rows, stack_);
  return chunk;
}

TokenScores ChunkedHead::score() {
  const int64_t num_rows = rows_.size(0);
  if (num_rows <= options_.chunk_tokens) kept_ = chunk(0);
  const at::NoGradGuard no_grad;
  std::vector<Tensor> logprobs, entropy;
  int64_t begin = 0;
  do {
    const Tensor logits = kept_.logits.defined() ? kept_.logits : chunk(begin).logits;
    const int64_t length = logits.size(0);
    logprobs.push_back(token_logprobs(logits, targets_.narrow(0, begin, length), options_.temperature));
    entropy.push_back(token_entropy(logits, options_.temperature));
    begin += length;
  } while (begin < num_rows);
  return {at::cat(logprobs), at::cat(entropy)};
}

// log p = z_target - logsumexp(z) with z = logits / temperature: d log p / d logits = (onehot - p) / temperature.
Tensor ChunkedHead::grad_logits(const Chunk& chunk, const Tensor& grad_logprobs) const {
  const at::NoGradGuard no_grad;
  const Tensor coefficients =
      grad_logprobs.narrow(0, chunk.begin, chunk.rows.size(0)).unsqueeze(1).div(options_.temperature);
  const Tensor scaled = options_.temperature == 1.0 ? chunk.logits : chunk.logits.div(options_.temperature);
  return at::softmax(scaled.detach(), 1)
      .mul_(coefficients.neg())
      .scatter_add_(1, chunk.targets.unsqueeze(1), coefficients);
}

Tensor ChunkedHead::backward(const Tensor& grad_logprobs) {
  std::vector<Tensor> grad_rows;
  for (int64_t begin = 0; begin < rows_.size(0); begin += options_.chunk_tokens) {
    Chunk part = kept_.logits.defined() ? std::exchange(kept_, {}) : chunk(begin);
    if (!part.logits.requires_grad()) return Tensor();  // nothing here or below is trained
    part.logits.backward(grad_logits(part, grad_logprobs));
    if (options_.needs_row_grad) grad_rows.push_back(part.rows.grad());
  }
  return options_.needs_row_grad ? at::cat(grad_rows) : Tensor();
}

}  // namespace noregret
