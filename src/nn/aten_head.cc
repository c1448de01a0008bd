#include "nn/aten_head.h"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <torch/csrc/autograd/custom_function.h>

namespace noregret {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

Tensor tempered(const Tensor& logits, double temperature) {
  return temperature == 1.0 ? logits : logits.div(temperature);
}

struct AtenScores : Function<AtenScores> {
  static variable_list forward(AutogradContext* ctx, const Tensor& logits, const Tensor& targets, double temperature) {
    const Tensor all = at::log_softmax(tempered(logits, temperature), 1);
    const Tensor logprobs = all.gather(1, targets.unsqueeze(1)).squeeze(1);
    const Tensor entropy = all.exp().mul_(all).sum(1).neg();
    ctx->save_for_backward({logits, targets});
    ctx->saved_data["temperature"] = temperature;
    ctx->mark_non_differentiable({entropy});
    return {logprobs, entropy};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const double temperature = ctx->saved_data["temperature"].toDouble();
    const Tensor coefficients = grads[0].unsqueeze(1).div(temperature);
    const Tensor gradient = at::softmax(tempered(saved[0], temperature), 1).mul_(coefficients.neg());
    gradient.scatter_add_(1, saved[1].unsqueeze(1), coefficients);
    return {gradient, Tensor(), Tensor()};
  }
};

}  // namespace

TokenScores aten_token_scores(const Tensor& logits, const Tensor& targets, double temperature) {
  const variable_list scores = AtenScores::apply(logits, targets, temperature);
  return {scores[0], scores[1]};
}

}  // namespace noregret
