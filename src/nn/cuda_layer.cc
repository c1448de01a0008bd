#include "nn/cuda_layer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/embedding_dense_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nn/cuda_attention.h"
#include "nn/cuda_residual.h"
#include "noregret/base/check.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

float* float_data(const Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr; }

// What a layer works out that the backward pass needs beside the input; from mixed_z on, of the rows whose results are
// wanted.
struct Values {
  Tensor inverse1, z1, qkv, mixed, lse, mixed_z, attended, inverse2, z2, gate_up, activated_z;
};

Tensor wanted(const CudaLayer& layer, const Tensor& all) {
  return layer.rows.defined() ? all.index_select(0, layer.rows) : all;
}

// The gradient of wanted(all) -> all: a row that is wanted several times gets a sum, in a fixed order.
Tensor of_all_rows(const CudaLayer& layer, const Tensor& of_wanted, int64_t num_rows) {
  if (!layer.rows.defined()) return of_wanted;
  return at::embedding_dense_backward(of_wanted, layer.rows, num_rows, /*padding_idx=*/-1,
                                      /*scale_grad_by_freq=*/false);
}

// The last columns of rows, which are a low-rank path's, in memory of their own.
Tensor low_rank_part(const Tensor& rows, const FusedLinear& linear) {
  return rows.narrow(1, rows.size(1) - linear.tail(), linear.tail()).contiguous();
}

Tensor activated(const Tensor& gate_up) {
  const int64_t num_rows = gate_up.size(0), size = gate_up.size(1) / 2;
  const Tensor y = at::empty({num_rows, size}, gate_up.options());
  cuda::swiglu(current_stream(gate_up.device()), num_rows, size, bf16_data(gate_up), bf16_data(y), size);
  return y;
}

// silu(gate) up, [rows, intermediate size], and with it what the backward pass needs.
Tensor run_gates(const FusedLinear& linear, const Tensor& normed, bool is_exact, Values* kept) {
  const bool is_fused = kept == nullptr && !is_exact && normed.size(0) <= cuda::kMaxSkinnyRows;
  if (is_fused) return linear.multiply_swiglu(normed);
  const Tensor gate_up = linear.multiply(normed, is_exact);
  if (kept != nullptr) kept->gate_up = gate_up;
  return activated(gate_up);
}

// The one forward, of rollouts, scoring and the learner, which keeps values.
void run_layer(const CudaLayer& layer, const CudaPlan& plan, const HfConfig& config, CudaResidual& residual,
               Values* kept) {
  const CudaLayerWeights& w = *layer.linears;
  const bool is_exact = plan.is_exact;
  const double eps = config.rms_norm_eps;
  const Tensor normed1 =
      residual.norm(layer.norms->input_norm, eps, w.qkv, is_exact, kept != nullptr ? &kept->inverse1 : nullptr);
  const Tensor qkv = w.qkv.multiply(normed1, is_exact);
  const CudaAttention attention = attention_on_cuda(plan, config, layer.index, qkv);
  if (layer.rows.defined()) residual.select(layer.rows);
  const Tensor mixed = w.o.multiply_with_a(wanted(layer, attention.y), is_exact);
  residual.add(mixed, w.o);
  const Tensor normed2 =
      residual.norm(layer.norms->post_norm, eps, w.gate_up, is_exact, kept != nullptr ? &kept->inverse2 : nullptr);
  if (kept != nullptr) kept->attended = residual.sum();
  const Tensor product = w.down.multiply_with_a(run_gates(w.gate_up, normed2, is_exact, kept), is_exact);
  residual.add(product, w.down);
  if (kept == nullptr) return;
  kept->z1 = low_rank_part(normed1, w.qkv);
  kept->qkv = qkv;
  kept->mixed = attention.y;
  kept->lse = attention.lse;
  kept->mixed_z = low_rank_part(mixed, w.o);
  kept->z2 = low_rank_part(normed2, w.gate_up);
  kept->activated_z = low_rank_part(product, w.down);
}

void add_norm_gradients(const Tensor& x, const Tensor& weight, const Tensor& inverse, const Tensor& grad_y,
                        const Tensor& grad_x, CudaGradients& gradients) {
  if (gradients.wants(weight)) {
    const Tensor normed = x.to(at::kFloat).mul_(inverse.unsqueeze(1));
    gradients.set(weight, normed.mul_(grad_y).sum(0).to(weight.scalar_type()));
  }
  if (!grad_x.defined()) return;
  cuda::rms_norm_backward(current_stream(x.device()), x.size(0), x.size(1), bf16_data(x), bf16_data(weight),
                          float_data(inverse), bf16_data(grad_y), grad_y.stride(0), bf16_data(grad_x),
                          grad_x.stride(0));
}

// Gradients of everything from grad_y back to x, whose gradient is returned where it is wanted.
Tensor run_backward(const CudaLayer& layer, const CudaPlan& plan, const HfConfig& config, const Tensor& x,
                    const Values& at, const Tensor& grad_y, bool needs_input, CudaGradients& gradients) {
  const CudaLayerWeights& w = *layer.linears;
  const double eps = config.rms_norm_eps;
  CUstream_st* stream = current_stream(x.device());
  const int64_t num_rows = grad_y.size(0), size = x.size(1);
  const auto rows_of = [&](int64_t rows, int64_t width) { return aligned_rows(rows, width, x.options()); };
  // The gradient of the residual stream on its way back, and room for what linears of that width put behind it.
  const Tensor stream_rows = rows_of(num_rows, size + std::max(w.down.tail(), w.o.tail()));
  Tensor grad_stream = stream_rows.narrow(1, 0, size);
  grad_stream.copy_(grad_y);

  const Tensor grad_activated = w.down.backpropagate(stream_rows.narrow(1, 0, size + w.down.tail()),
                                                     activated(at.gate_up), at.activated_z, true, gradients);
  const Tensor grad_gate_up = rows_of(num_rows, w.gate_up.out() + w.gate_up.tail());
  cuda::swiglu_backward(stream, num_rows, w.down.in(), bf16_data(at.gate_up), bf16_data(grad_activated),
                        bf16_data(grad_gate_up), grad_gate_up.stride(0));
  const Tensor grad_normed2 = w.gate_up.backpropagate(
      grad_gate_up, rms_norm_on_cuda(at.attended, layer.norms->post_norm, eps), at.z2, true, gradients);
  add_norm_gradients(at.attended, layer.norms->post_norm, at.inverse2, grad_normed2, grad_stream, gradients);

  const Tensor grad_wanted = w.o.backpropagate(stream_rows.narrow(1, 0, size + w.o.tail()), wanted(layer, at.mixed),
                                               at.mixed_z, true, gradients);
  const Tensor grad_mixed = of_all_rows(layer, grad_wanted, x.size(0));
  grad_stream = of_all_rows(layer, grad_stream, x.size(0));
  const Tensor grad_qkv = rows_of(x.size(0), w.qkv.out() + w.qkv.tail());
  attention_backward_on_cuda(plan, config, at.qkv, {at.mixed, at.lse}, grad_mixed, grad_qkv);
  const bool needs_normed = needs_input || gradients.wants(layer.norms->input_norm);
  const Tensor grad_normed1 =
      w.qkv.backpropagate(grad_qkv, rms_norm_on_cuda(x, layer.norms->input_norm, eps), at.z1, needs_normed, gradients);
  if (!needs_normed) return Tensor();
  const Tensor grad_x = needs_input ? grad_stream : Tensor();
  add_norm_gradients(x, layer.norms->input_norm, at.inverse1, grad_normed1, grad_x, gradients);
  return grad_x;
}

// What a backward pass keeps of its forward beside tensors.
struct Call : torch::CustomClassHolder {
  CudaLayer layer{};
  AdapterStack stack;
  std::shared_ptr<CudaPlan> plan;
  HfConfig config;
};

struct LayerFunction : Function<LayerFunction> {
  static constexpr int64_t kNumSaved = 12;  // x and Values

  static Tensor forward(AutogradContext* ctx, const Tensor& x, const c10::intrusive_ptr<Call>& call,
                        at::TensorList trained) {
    Values at;
    CudaResidual residual(x);
    run_layer(call->layer, *call->plan, call->config, residual, &at);
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    variable_list saved = {x,          at.inverse1, at.z1,       at.qkv, at.mixed,   at.lse,
                           at.mixed_z, at.attended, at.inverse2, at.z2,  at.gate_up, at.activated_z};
    saved.insert(saved.end(), trained.begin(), trained.end());
    ctx->save_for_backward(saved);
    return residual.sum();
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(ctx->saved_data["call"].toCapsule());
    const variable_list saved = ctx->get_saved_variables();
    const Values at{saved[1], saved[2], saved[3], saved[4],  saved[5], saved[6],
                    saved[7], saved[8], saved[9], saved[10], saved[11]};
    attach_adapters(call->layer);
    CudaGradients gradients(variable_list(saved.begin() + kNumSaved, saved.end()));
    variable_list result = {run_backward(call->layer, *call->plan, call->config, saved[0], at, grads[0],
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
                   static_cast<float>(eps), bf16_data(y), y.stride(0), float_data(inverse));
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

void attach_adapters(const CudaLayer& layer) {
  for (FusedLinear* linear : {&layer.linears->qkv, &layer.linears->o, &layer.linears->gate_up, &layer.linears->down})
    layer.all->attach(*linear, *layer.stack);
}

Tensor forward_on_cuda(const CudaLayer& layer, const std::shared_ptr<CudaPlan>& plan, const HfConfig& config,
                       const Tensor& x) {
  attach_adapters(layer);
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
  CudaResidual residual(x);
  run_layer(layer, *plan, config, residual, nullptr);
  return residual.sum();
}

Tensor layers_on_cuda(const std::vector<CudaLayer>& layers, const CudaPlan& plan, const HfConfig& config,
                      const Tensor& x) {
  CudaResidual residual(x);
  for (const CudaLayer& layer : layers) {
    attach_adapters(layer);
    run_layer(layer, plan, config, residual, nullptr);
  }
  return residual.sum();
}

Tensor rms_norm_on_cuda(const Tensor& x, const Tensor& weight, double eps) {
  if (at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad()))
    return NormFunction::apply(x, weight, eps);
  const Tensor y = at::empty_like(x);
  cuda::rms_norm(current_stream(x.device()), x.size(0), x.size(1), bf16_data(x), bf16_data(weight),
                 static_cast<float>(eps), bf16_data(y), y.stride(0), nullptr);
  return y;
}

}  // namespace noregret
