#include "nn/cuda_layer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nn/cuda_attention.h"
#include "noregret/base/check.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Up to so many rows the adapters' first half comes with the function before it, which saves a launch; its sums are in
// another order.
constexpr int64_t kFusedShrinkRows = 32;

bool fuses_shrink(int64_t num_rows, bool is_exact) { return !is_exact && num_rows <= kFusedShrinkRows; }

float* float_data(const Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr; }

// [norm(x) | norm(x) A^T]; `inverse` [N] f32 may be undefined.
Tensor normed_rows(const Tensor& x, const Tensor& weight, double eps, const FusedLinear& linear, bool is_exact,
                   const Tensor& inverse) {
  const Tensor rows = linear.extended_rows(x.size(0));
  const bool fuses = fuses_shrink(x.size(0), is_exact);
  cuda::rms_norm(current_stream(x.device()), x.size(0), x.size(1), bf16_data(x), bf16_data(weight),
                 static_cast<float>(eps), fuses ? bf16_data(linear.a()) : nullptr, fuses ? linear.tail() : 0,
                 bf16_data(rows), rows.stride(0), float_data(inverse));
  if (!fuses) linear.shrink(rows, is_exact);
  return rows;
}

// [swiglu | swiglu A^T]
Tensor activated_rows(const Tensor& gate_up, const FusedLinear& linear, bool is_exact) {
  const Tensor rows = linear.extended_rows(gate_up.size(0));
  const bool fuses = fuses_shrink(gate_up.size(0), is_exact);
  cuda::swiglu(current_stream(gate_up.device()), gate_up.size(0), linear.in(), bf16_data(gate_up),
               fuses ? bf16_data(linear.a()) : nullptr, fuses ? linear.tail() : 0, bf16_data(rows), rows.stride(0));
  if (!fuses) linear.shrink(rows, is_exact);
  return rows;
}

// What a layer works out; all but y is what the backward pass needs beside the input.
struct Values {
  Tensor inverse1, qkv, mixed, lse, attended, inverse2, gate_up;
  Tensor y;
};

// The one forward: rollouts, scoring and the learner.
Values run_forward(const CudaLayer& layer, const CudaPlan& plan, const HfConfig& config, const Tensor& x, bool keeps) {
  const CudaLayerWeights& w = *layer.linears;
  const bool is_exact = plan.is_exact;
  const double eps = config.rms_norm_eps;
  const auto row_numbers = [&] { return keeps ? at::empty({x.size(0)}, x.options().dtype(at::kFloat)) : Tensor(); };
  Values at;
  at.inverse1 = row_numbers();
  at.qkv = w.qkv.multiply(normed_rows(x, layer.norms->input_norm, eps, w.qkv, is_exact, at.inverse1), is_exact);
  at.mixed = w.o.extended_rows(x.size(0));
  at.lse = attention_on_cuda(plan, config, layer.index, at.qkv, at.mixed).lse;
  w.o.shrink(at.mixed, is_exact);
  at.attended = w.o.multiply_and_add(at.mixed, x, plan.is_in_place, is_exact);
  at.inverse2 = row_numbers();
  const Tensor normed = normed_rows(at.attended, layer.norms->post_norm, eps, w.gate_up, is_exact, at.inverse2);
  Tensor activated;
  if (!keeps && !is_exact && x.size(0) <= cuda::kMaxSkinnyRows) {
    activated = w.down.extended_rows(x.size(0));
    w.gate_up.multiply_swiglu(normed, activated);
    w.down.shrink(activated, is_exact);
  } else {
    at.gate_up = w.gate_up.multiply(normed, is_exact);
    activated = activated_rows(at.gate_up, w.down, is_exact);
  }
  at.y = w.down.multiply_and_add(activated, at.attended, plan.is_in_place, is_exact);
  return at;
}

void add_norm_gradients(const Tensor& x, const Tensor& weight, const Tensor& inverse, const Tensor& grad_y,
                        const Tensor& grad_x, CudaGradients& gradients) {
  if (gradients.wants(weight)) {
    const Tensor normed = x.to(at::kFloat).mul_(inverse.unsqueeze(1));
    gradients.set(weight, normed.mul_(grad_y).sum(0).to(weight.scalar_type()));
  }
  if (!grad_x.defined()) return;
  cuda::rms_norm_backward(current_stream(x.device()), x.size(0), x.size(1), bf16_data(x), bf16_data(weight),
                          float_data(inverse), bf16_data(grad_y), grad_y.stride(0), bf16_data(grad_x));
}

// Gradients of everything from grad_y back to x, whose gradient is returned where it is wanted. Uses up gate_up.
Tensor run_backward(const CudaLayer& layer, const CudaPlan& plan, const HfConfig& config, const Tensor& x,
                    const Values& at, const Tensor& grad_y, bool needs_input, CudaGradients& gradients) {
  const CudaLayerWeights& w = *layer.linears;
  const double eps = config.rms_norm_eps;
  const bool is_exact = plan.is_exact;
  const Tensor grad_activated =
      w.down.backpropagate(grad_y, activated_rows(at.gate_up, w.down, is_exact), true, gradients);
  cuda::swiglu_backward(current_stream(x.device()), x.size(0), w.down.in(), bf16_data(at.gate_up),
                        bf16_data(grad_activated), grad_activated.stride(0));
  const Tensor& grad_gate_up = at.gate_up;
  const Tensor grad_normed2 = w.gate_up.backpropagate(
      grad_gate_up, normed_rows(at.attended, layer.norms->post_norm, eps, w.gate_up, is_exact, Tensor()), true,
      gradients);
  const Tensor grad_attended = grad_y.clone();
  add_norm_gradients(at.attended, layer.norms->post_norm, at.inverse2, grad_normed2, grad_attended, gradients);

  const Tensor grad_mixed = w.o.backpropagate(grad_attended, at.mixed, true, gradients);
  const CudaAttention attended{at.mixed.narrow(1, 0, w.o.in()), at.lse};
  const Tensor grad_qkv = attention_backward_on_cuda(plan, config, at.qkv, attended, grad_mixed);
  const bool needs_normed = needs_input || gradients.wants(layer.norms->input_norm);
  const Tensor grad_normed1 = w.qkv.backpropagate(
      grad_qkv, normed_rows(x, layer.norms->input_norm, eps, w.qkv, is_exact, Tensor()), needs_normed, gradients);
  if (!needs_normed) return Tensor();
  const Tensor grad_x = needs_input ? grad_attended : Tensor();
  add_norm_gradients(x, layer.norms->input_norm, at.inverse1, grad_normed1, grad_x, gradients);
  return grad_x;
}

// Another forward may have been with other adapters.
void attach(const CudaLayer& layer) {
  for (FusedLinear* linear : {&layer.linears->qkv, &layer.linears->o, &layer.linears->gate_up, &layer.linears->down})
    layer.all->attach(*linear, *layer.stack);
}

// What a backward pass keeps of its forward beside tensors.
struct Call : torch::CustomClassHolder {
  CudaLayer layer{};
  AdapterStack stack;
  std::shared_ptr<CudaPlan> plan;
  HfConfig config;
  bool is_used_up = false;  // what was saved has become gradients
};

struct LayerFunction : Function<LayerFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const c10::intrusive_ptr<Call>& call,
                        at::TensorList trained) {
    Values at = run_forward(call->layer, *call->plan, call->config, x, true);
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    variable_list saved = {x, at.inverse1, at.qkv, at.mixed, at.lse, at.attended, at.inverse2, at.gate_up};
    saved.insert(saved.end(), trained.begin(), trained.end());
    ctx->save_for_backward(saved);
    return at.y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(ctx->saved_data["call"].toCapsule());
    NOREGRET_CHECK(!std::exchange(call->is_used_up, true), "a second backward pass through the same forward");
    const variable_list saved = ctx->get_saved_variables();
    const Values at{saved[1], saved[2], saved[3], saved[4], saved[5], saved[6], saved[7], Tensor()};
    attach(call->layer);
    CudaGradients gradients(variable_list(saved.begin() + 8, saved.end()));
    variable_list result = {run_backward(call->layer, *call->plan, call->config, saved[0], at, grads[0].contiguous(),
                                         ctx->needs_input_grad(0), gradients),
                            Tensor()};
    for (Tensor& gradient : gradients.take()) result.push_back(std::move(gradient));
    return result;
  }
};

struct NormFunction : Function<NormFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, double eps) {
    const Tensor y = at::empty_like(x);
    const Tensor inverse = at::empty({x.size(0)}, x.options().dtype(at::kFloat));
    cuda::rms_norm(current_stream(x.device()), x.size(0), x.size(1), bf16_data(x), bf16_data(weight),
                   static_cast<float>(eps), nullptr, 0, bf16_data(y), y.stride(0), float_data(inverse));
    ctx->save_for_backward({x, weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor grad_x = ctx->needs_input_grad(0) ? at::zeros_like(saved[0]) : Tensor();
    CudaGradients gradients(ctx->needs_input_grad(1) ? variable_list{saved[1]} : variable_list{});
    add_norm_gradients(saved[0], saved[1], saved[2], grads[0].contiguous(), grad_x, gradients);
    const variable_list of_weight = gradients.take();
    return {grad_x, of_weight.empty() ? Tensor() : of_weight[0], Tensor()};
  }
};

std::vector<Tensor> trained_in(const CudaLayer& layer) {
  std::vector<Tensor> trained;
  for (const Tensor& norm : {layer.norms->input_norm, layer.norms->post_norm}) {
    if (norm.requires_grad()) trained.push_back(norm);
  }
  for (const FusedLinear* linear :
       {&layer.linears->qkv, &layer.linears->o, &layer.linears->gate_up, &layer.linears->down})
    linear->list_trained(*layer.stack, trained);
  return trained;
}

}  // namespace

void CudaWeights::attach(const AdapterStack& stack) {
  for (const std::unique_ptr<CudaLayerWeights>& layer : layers) {
    for (FusedLinear* linear : {&layer->qkv, &layer->o, &layer->gate_up, &layer->down}) attach(*linear, stack);
  }
  attach(*head, stack);
}

std::vector<int64_t> CudaWeights::tails() const {
  std::vector<int64_t> tails;
  for (const std::unique_ptr<CudaLayerWeights>& layer : layers) {
    for (const FusedLinear* linear : {&layer->qkv, &layer->o, &layer->gate_up, &layer->down})
      tails.push_back(linear->tail());
  }
  tails.push_back(head->tail());
  return tails;
}

Tensor forward_on_cuda(const CudaLayer& layer, const std::shared_ptr<CudaPlan>& plan, const HfConfig& config,
                       const Tensor& x) {
  attach(layer);
  if (at::GradMode::is_enabled()) {
    const std::vector<Tensor> trained = trained_in(layer);
    if (x.requires_grad() || !trained.empty()) {
      NOREGRET_CHECK(plan->cache == nullptr, "a forward with a cache has no backward");
      auto call = c10::make_intrusive<Call>();
      call->layer = layer;
      call->stack = *layer.stack;
      call->layer.stack = &call->stack;
      call->plan = plan;
      call->config = config;
      return LayerFunction::apply(x, call, at::TensorList(trained));
    }
  }
  return run_forward(layer, *plan, config, x, false).y;
}

Tensor rms_norm_on_cuda(const Tensor& x, const Tensor& weight, double eps) {
  if (at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad()))
    return NormFunction::apply(x, weight, eps);
  const Tensor y = at::empty_like(x);
  cuda::rms_norm(current_stream(x.device()), x.size(0), x.size(1), bf16_data(x), bf16_data(weight),
                 static_cast<float>(eps), nullptr, 0, bf16_data(y), y.stride(0), nullptr);
  return y;
}

}  // namespace noregret
