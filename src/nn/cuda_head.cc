#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "nn/cuda_layer.h"
#include "noregret/base/check.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// [rows | rows A^T]: the rows themselves where no adapter is on the head.
Tensor head_rows(const FusedLinear& head, const Tensor& rows, bool is_exact) {
  if (head.tail() == 0) return rows.contiguous();
  const Tensor extended = head.extended_rows(rows.size(0));
  extended.narrow(1, 0, head.in()).copy_(rows);
  head.shrink(extended, is_exact);
  return extended;
}

struct Call : torch::CustomClassHolder {
  CudaWeights* weights = nullptr;
  AdapterStack stack;
  float temperature = 1.0f;
  bool is_exact = false;
};

struct ScoresFunction : Function<ScoresFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& rows, const c10::intrusive_ptr<Call>& call,
                               const Tensor& targets, at::TensorList trained) {
    const FusedLinear& head = *call->weights->head;
    const Tensor x = head_rows(head, rows, call->is_exact);
    const Tensor logits = head.logits(x, call->is_exact);
    const auto numbers = [&] { return at::empty({rows.size(0)}, logits.options()); };
    const Tensor logprobs = numbers(), entropy = numbers(), lse = numbers();
    cuda::token_scores(current_stream(rows.device()), rows.size(0), logits.size(1), logits.const_data_ptr<float>(),
                       targets.const_data_ptr<int64_t>(), call->temperature, logprobs.mutable_data_ptr<float>(),
                       entropy.mutable_data_ptr<float>(), lse.mutable_data_ptr<float>());
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    variable_list saved = {x, targets, logits, lse};
    saved.insert(saved.end(), trained.begin(), trained.end());
    ctx->save_for_backward(saved);
    ctx->mark_non_differentiable({entropy});
    return {logprobs, entropy};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(ctx->saved_data["call"].toCapsule());
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &targets = saved[1], &logits = saved[2], &lse = saved[3];
    const Tensor coefficients = grads[0].contiguous();
    call->weights->attach(*call->weights->head, call->stack);  // another forward may have been with other adapters
    const FusedLinear& head = *call->weights->head;
    const Tensor grad_logits = at::empty({logits.size(0), head.out() + head.tail()}, x.options());
    cuda::token_gradients(current_stream(x.device()), logits.size(0), logits.size(1), logits.const_data_ptr<float>(),
                          targets.const_data_ptr<int64_t>(), call->temperature, coefficients.const_data_ptr<float>(),
                          lse.const_data_ptr<float>(), bf16_data(grad_logits), grad_logits.stride(0));
    CudaGradients gradients(variable_list(saved.begin() + 4, saved.end()));
    variable_list result = {
        head.backpropagate(grad_logits, x.narrow(1, 0, head.in()), x.narrow(1, head.in(), head.tail()),
                           ctx->needs_input_grad(0), gradients),
        Tensor(), Tensor()};
    for (Tensor& gradient : gradients.take()) result.push_back(std::move(gradient));
    return result;
  }
};

}  // namespace

Tensor logits_on_cuda(CudaWeights& weights, const AdapterStack& stack, const Tensor& rows, bool is_exact) {
  weights.attach(*weights.head, stack);
  return weights.head->logits(head_rows(*weights.head, rows, is_exact), is_exact);
}

TokenScores token_scores_on_cuda(CudaWeights& weights, const AdapterStack& stack, const Tensor& rows,
                                 const Tensor& targets, double temperature, bool is_exact) {
  NOREGRET_CHECK(targets.size(0) == rows.size(0), targets.size(0), " targets for ", rows.size(0), " rows");
  weights.attach(*weights.head, stack);
  auto call = c10::make_intrusive<Call>();
  call->weights = &weights;
  call->stack = stack;
  call->temperature = static_cast<float>(temperature);
  call->is_exact = is_exact;
  std::vector<Tensor> trained;
  weights.head->list_trained(stack, trained);
  const variable_list scores = ScoresFunction::apply(rows, call, targets.contiguous(), at::TensorList(trained));
  return {scores[0], scores[1]};
}

bool sample_on_cuda(const Tensor& logits, double temperature, const float* uniforms, int64_t* ids, float* logprobs) {
  const Tensor rows = logits.contiguous();
  const int64_t count = rows.size(0);
  const Tensor numbers = at::from_blob(const_cast<float*>(uniforms), {count}, at::kFloat).to(rows.device());
  const Tensor tokens = at::empty({count}, rows.options().dtype(at::kLong)),
               scores = at::empty({count}, rows.options());
  cuda::sample(current_stream(rows.device()), count, rows.size(1), rows.const_data_ptr<float>(),
               static_cast<float>(temperature), numbers.const_data_ptr<float>(), tokens.mutable_data_ptr<int64_t>(),
               scores.mutable_data_ptr<float>());
  const Tensor host_tokens = tokens.cpu(), host_scores = scores.cpu();
  std::copy_n(host_tokens.const_data_ptr<int64_t>(), count, ids);
  std::copy_n(host_scores.const_data_ptr<float>(), count, logprobs);
  return std::all_of(ids, ids + count, [](int64_t id) { return id >= 0; });
}

}  // namespace noregret
