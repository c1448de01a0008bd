#include <ATen/core/grad_mode.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/view_as_real.h>
#include <torch/csrc/autograd/custom_function.h>

#include "noregret/nn/ops.h"

// The backward of the elementwise ops is written out: half the kernels of the traced one, and only inputs are kept for
// it.
namespace noregret::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// The dtype that sums and angles are worked out in.
at::ScalarType wide_dtype(const Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

Tensor as(const Tensor& x, at::ScalarType dtype) { return x.scalar_type() == dtype ? x : x.to(dtype); }

bool needs_grad(const Tensor& x) { return at::GradMode::is_enabled() && x.requires_grad(); }

// 1 / sqrt(mean(x^2) + eps), [N, 1]
Tensor inverse_rms(const Tensor& wide_x, double eps) {
  const Tensor norm = at::linalg_vector_norm(wide_x, 2, at::IntArrayRef{-1}, true);
  return norm.square_().div_(wide_x.size(-1)).add_(eps).rsqrt_();
}

Tensor scaled(const Tensor& wide_x, const Tensor& inverse, const Tensor& weight, at::ScalarType dtype) {
  return as(wide_x.mul(inverse).mul_(as(weight, wide_x.scalar_type())), dtype);
}

struct RmsNorm : Function<RmsNorm> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, double eps) {
    const Tensor wide_x = as(x, wide_dtype(x));
    const Tensor inverse = inverse_rms(wide_x, eps);
    ctx->save_for_backward({x, weight, inverse});
    return scaled(wide_x, inverse, weight, x.scalar_type());
  }

  // With n = x / rms: dx = (g w - n mean(g w n)) / rms, dw = sum over rows of g n.
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::ScalarType dtype = saved[0].scalar_type();
    const Tensor normalized = as(saved[0], saved[2].scalar_type()).mul(saved[2]);
    const Tensor grad = as(grads[0], normalized.scalar_type());
    Tensor grad_weight;
    if (ctx->needs_input_grad(1)) grad_weight = as(grad.mul(normalized).sum(0), dtype);
    Tensor grad_x = grad.mul(as(saved[1], normalized.scalar_type()));
    const Tensor along = grad_x.mul(normalized).sum(-1, true).div_(normalized.size(-1));
    grad_x.addcmul_(normalized, along, -1).mul_(saved[2]);
    return {as(grad_x, dtype), grad_weight, Tensor()};
  }
};

struct Swiglu : Function<Swiglu> {
  static Tensor forward(AutogradContext* ctx, const Tensor& gate, const Tensor& up) {
    ctx->save_for_backward({gate, up});
    return at::silu(gate).mul_(up);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    return {at::silu_backward(grads[0].mul(saved[1]), saved[0]), at::silu(saved[0]).mul_(grads[0])};
  }
};

Tensor rotate(const Tensor& x, const Tensor& rotation) {
  const int64_t half = x.size(2) / 2;
  const Tensor wide = as(x, wide_dtype(x));
  const Tensor turned = at::complex(wide.narrow(2, 0, half), wide.narrow(2, half, half)).mul(rotation);
  return as(at::view_as_real(turned).transpose(2, 3).reshape(x.sizes()), x.scalar_type());
}

struct Rotary : Function<Rotary> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& rotation) {
    ctx->save_for_backward({rotation});
    return rotate(x, rotation);
  }

  // A rotation's transpose turns back; a length other than 1 stays.
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    return {rotate(grads[0], ctx->get_saved_variables()[0].conj()), Tensor()};
  }
};

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  if (needs_grad(x) || needs_grad(weight)) return RmsNorm::apply(x, weight, eps);
  const Tensor wide_x = as(x, wide_dtype(x));
  return scaled(wide_x, inverse_rms(wide_x, eps), weight, x.scalar_type());
}

Tensor linear(const Tensor& x, const Tensor& weight, const AdapterStack& stack, int64_t site_idx) {
  Tensor y = at::linear(x, weight);
  for (const Adapter* adapter : stack) {
    const Adapter::LowRank* low_rank = adapter->find(site_idx);
    if (low_rank == nullptr) continue;
    const Tensor narrow = at::linear(as(x, low_rank->a.scalar_type()), low_rank->a);
    if (narrow.scalar_type() == y.scalar_type()) {
      y.addmm_(narrow, low_rank->b.t(), 1, low_rank->scaling);  // y is nobody's saved input
    } else {
      y.add_(at::linear(narrow, low_rank->b).mul(low_rank->scaling).to(y.scalar_type()));
    }
  }
  return y;
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  if (needs_grad(gate) || needs_grad(up)) return Swiglu::apply(gate, up);
  return at::silu(gate).mul_(up);
}

Tensor rotary(const Tensor& x, const Tensor& rotation) {
  return needs_grad(x) ? Rotary::apply(x, rotation) : rotate(x, rotation);
}

}  // namespace noregret::ops
