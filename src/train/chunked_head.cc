#include "train/chunked_head.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/softmax.h>

#include <algorithm>

#include "noregret/base/check.h"
#include "noregret/objective/policy_loss.h"

namespace noregret {
namespace {

// 8 MB of f32: the passes over a block's logits find them in the cache, and their temporaries are not mapped anew.
constexpr int64_t kBlockElements = int64_t{1} << 21;

// Calls visit(begin, length) for blocks of rows of a matrix; on a GPU for all rows at once.
template <class Visit>
void for_row_blocks(const Tensor& matrix, const Visit& visit) {
  const int64_t num_rows = matrix.size(0);
  const int64_t block = matrix.is_cpu() ? std::max<int64_t>(1, kBlockElements / matrix.size(1)) : num_rows;
  for (int64_t begin = 0; begin < num_rows; begin += block) visit(begin, std::min(block, num_rows - begin));
}

// Puts d loss / d logits in the place of the logits. With z = logits / temperature, log p = z_target - logsumexp(z):
// d log p / d logits = (onehot - p) / temperature.
void logits_to_gradients(const Tensor& logits, const Tensor& targets, const Tensor& grad_logprobs, double temperature) {
  const Tensor coefficients = grad_logprobs.unsqueeze(1).div(temperature);
  for_row_blocks(logits, [&](int64_t begin, int64_t length) {
    const Tensor rows = logits.narrow(0, begin, length);
    const Tensor p = at::softmax(temperature == 1.0 ? rows : rows.div(temperature), 1);
    rows.copy_(p.mul_(coefficients.narrow(0, begin, length).neg()));
  });
  logits.scatter_add_(1, targets.unsqueeze(1), coefficients);
}

}  // namespace

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
  for (int64_t begin = 0; begin < num_rows; begin += options_.chunk_tokens) {
    const Chunk part = kept_.logits.defined() ? kept_ : chunk(begin);
    for_row_blocks(part.logits, [&](int64_t first, int64_t length) {
      const Tensor logits = part.logits.narrow(0, first, length);
      logprobs.push_back(token_logprobs(logits, part.targets.narrow(0, first, length), options_.temperature));
      entropy.push_back(token_entropy(logits, options_.temperature));
    });
  }
  if (num_rows == 0)
    return {at::empty({0}, rows_.options().dtype(at::kFloat)), at::empty({0}, rows_.options().dtype(at::kFloat))};
  return {at::cat(logprobs), at::cat(entropy)};
}

Tensor ChunkedHead::backward(const Tensor& grad_logprobs) {
  std::vector<Tensor> grad_rows;
  for (int64_t begin = 0; begin < rows_.size(0); begin += options_.chunk_tokens) {
    const Chunk part = kept_.logits.defined() ? std::exchange(kept_, {}) : chunk(begin);
    if (!part.logits.requires_grad()) return Tensor();  // nothing here or below is trained
    const Tensor gradient = part.logits.detach();       // the logits' memory, which no backward reads
    {
      const at::NoGradGuard no_grad;
      logits_to_gradients(gradient, part.targets, grad_logprobs.narrow(0, part.begin, gradient.size(0)),
                          options_.temperature);
    }
    part.logits.backward(gradient);
    if (options_.needs_row_grad) grad_rows.push_back(part.rows.grad());
  }
  return options_.needs_row_grad ? at::cat(grad_rows) : Tensor();
}

}  // namespace noregret
