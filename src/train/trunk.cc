#include "train/trunk.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <functional>

#include "noregret/base/check.h"

namespace noregret {
namespace {

// An adapted site other than the head, which is the last one.
bool has_trained_adapter(const CausalLm& model, const AdapterStack& stack) {
  for (const Adapter* adapter : stack) {
    for (size_t i = 0; i + 1 < model.sites().size(); ++i) {
      const Adapter::LowRank* low_rank = adapter->find(static_cast<int64_t>(i));
      if (low_rank != nullptr && low_rank->a.requires_grad()) return true;
    }
  }
  return false;
}

// Runs `part` once more and its backward; the gradient of `input` where it is wanted.
Tensor backward_through(const std::function<Tensor(const Tensor&)>& part, const Tensor& input, bool needs_input_grad,
                        const Tensor& grad) {
  const Tensor leaf = input.detach().requires_grad_(needs_input_grad);
  const Tensor output = part(leaf);
  if (!output.requires_grad()) return Tensor();
  output.backward(grad);
  return leaf.grad();
}

}  // namespace

Trunk::Trunk(const CausalLm& model, const AdapterStack& stack, const TokenBatch& tokens, const Tensor& rows,
             bool is_recomputed)
    : model_(model), stack_(stack), tokens_(tokens), is_recomputed_(is_recomputed) {
  if (!is_recomputed_) {
    output_ = model_.forward(tokens_, stack_, nullptr, rows);
    needs_grad_ = output_.requires_grad();
    return;
  }
  const at::NoGradGuard no_grad;
  needs_grad_ = model_.is_trainable() || has_trained_adapter(model_, stack_);
  plan_ = model_.plan(tokens_, nullptr, rows);
  inputs_.push_back(model_.embed(tokens_));
  for (int64_t i = 0; i < model_.config().num_layers; ++i)
    inputs_.push_back(model_.layer(i, inputs_.back(), plan_, stack_, nullptr));
  output_ = model_.final_norm(inputs_.back());
}

void Trunk::backward(const Tensor& grad_hidden) {
  NOREGRET_CHECK(needs_grad_);
  if (is_recomputed_) {
    backward_by_layer(grad_hidden);
  } else {
    output_.backward(grad_hidden);
  }
}

void Trunk::backward_by_layer(Tensor grad) {
  const bool has_weights = model_.is_trainable();
  grad = backward_through([&](const Tensor& x) { return model_.final_norm(x); }, inputs_.back(), true, grad);
  inputs_.pop_back();
  for (int64_t i = model_.config().num_layers - 1; i >= 0; --i) {
    const auto layer = [&](const Tensor& x) { return model_.layer(i, x, plan_, stack_, nullptr); };
    grad = backward_through(layer, inputs_.back(), i > 0 || has_weights, grad);
    inputs_.pop_back();
  }
  if (has_weights) model_.embed(tokens_).backward(grad);
}

}  // namespace noregret
