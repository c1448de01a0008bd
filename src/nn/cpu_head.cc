#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <utility>

#include "nn/cpu_layer.h"
#include "nn/cpu_linear.h"
#include "nn/cpu_pool.h"
#include "nn/cuda_layer.h"
#include "noregret/base/check.h"
#include "noregret/kernels/rows.h"

namespace noregret {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

float* data(const Tensor& tensor) { return tensor.mutable_data_ptr<float>(); }

struct Call : torch::CustomClassHolder {
  CpuHead head;
  AdapterStack stack;
  float temperature = 1.0f;
  bool is_used_up = false;  // the logits have become gradients
};

struct ScoresFunction : Function<ScoresFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& rows, const c10::intrusive_ptr<Call>& call,
                               const Tensor& targets, at::TensorList trained) {
    const Tensor logits = logits_on_cpu(call->head, rows);
    const Tensor logprobs = at::empty({rows.size(0)}, at::kFloat);
    const Tensor entropy = at::empty({rows.size(0)}, at::kFloat);
    token_scores(cpu_pool(), rows.size(0), logits.size(1), data(logits), targets.const_data_ptr<int64_t>(),
                 call->temperature, data(logprobs), data(entropy));
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    variable_list saved = {rows, targets, logits};
    saved.insert(saved.end(), trained.begin(), trained.end());
    ctx->save_for_backward(saved);
    ctx->mark_non_differentiable({entropy});
    return {logprobs, entropy};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(ctx->saved_data["call"].toCapsule());
    NOREGRET_CHECK(!std::exchange(call->is_used_up, true), "a second backward pass through the same scores");
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &rows = saved[0], &targets = saved[1], &logits = saved[2];
    const variable_list trained(saved.begin() + 3, saved.end());
    token_gradients(cpu_pool(), rows.size(0), logits.size(1), data(logits), targets.const_data_ptr<int64_t>(),
                    call->temperature, data(grads[0].contiguous()));
    const Tensor grad_rows = ctx->needs_input_grad(0) ? at::empty(rows.sizes(), at::kFloat) : Tensor();
    Gradients gradients(trained);
    backward_linears(call->stack, std::array<LinearSlot, 1>{{{call->head.weight, call->head.site, data(logits)}}},
                     rows.size(0), data(rows), grad_rows.defined() ? data(grad_rows) : nullptr, true, gradients);
    variable_list result = {grad_rows, Tensor(), Tensor()};
    for (Tensor& gradient : gradients.take()) result.push_back(std::move(gradient));
    return result;
  }
};

}  // namespace

Tensor logits_on_cpu(const CpuHead& head, const Tensor& rows) {
  const Tensor x = rows.contiguous();
  Tensor logits = at::empty({x.size(0), head.weight->out()}, at::kFloat);
  Workspace memory;
  head.adapters->follow(*head.stack);
  forward_linears(*head.adapters, std::array<LinearSlot, 1>{{{head.weight, head.site, data(logits)}}}, x.size(0),
                  data(x), memory);
  return logits;
}

TokenScores token_scores_on_cpu(const CpuHead& head, const Tensor& rows, const Tensor& targets, double temperature) {
  const Tensor ids = targets.contiguous();
  const auto* id = ids.const_data_ptr<int64_t>();
  NOREGRET_CHECK(ids.size(0) == rows.size(0), ids.size(0), " targets for ", rows.size(0), " rows");
  for (int64_t i = 0; i < ids.size(0); ++i)
    NOREGRET_CHECK(id[i] >= 0 && id[i] < head.weight->out(), "target ", id[i], " of ", head.weight->out());
  auto call = c10::make_intrusive<Call>();
  call->head = head;
  call->stack = *head.stack;
  call->head.stack = &call->stack;
  call->temperature = static_cast<float>(temperature);
  std::vector<Tensor> trained;
  list_trained(*head.weight, *head.stack, head.site, trained);
  const variable_list scores = ScoresFunction::apply(rows.contiguous(), call, ids, at::TensorList(trained));
  return {scores[0], scores[1]};
}

bool ops::sample(const Tensor& logits, double temperature, const float* uniforms, int64_t* ids, float* logprobs) {
  if (logits.is_cuda()) return sample_on_cuda(logits, temperature, uniforms, ids, logprobs);
  const Tensor rows = logits.cpu().contiguous();
  return kernels::sample(cpu_pool(), rows.size(0), rows.size(1), rows.const_data_ptr<float>(),
                         static_cast<float>(temperature), uniforms, ids, logprobs);
}

}  // namespace noregret
