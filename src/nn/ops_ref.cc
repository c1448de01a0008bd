#include <ATen/core/grad_mode.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/view_as_real.h>

#include "noregret/nn/ops.h"

namespace noregret::ops {
namespace {

// The dtype that sums and angles are worked out in.
at::ScalarType wide_dtype(const Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

Tensor as(const Tensor& x, at::ScalarType dtype) { return x.scalar_type() == dtype ? x : x.to(dtype); }

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  return at::rms_norm(x, weight.sizes(), weight, eps);  // widens half precision itself
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
  Tensor activated = at::silu(gate);
  return at::GradMode::is_enabled() ? activated.mul(up) : activated.mul_(up);
}

Tensor rotary(const Tensor& x, const Tensor& rotation) {
  const int64_t half = x.size(2) / 2;
  const Tensor wide = as(x, wide_dtype(x));
  const Tensor turned = at::complex(wide.narrow(2, 0, half), wide.narrow(2, half, half)).mul(rotation);
  return as(at::view_as_real(turned).transpose(2, 3).reshape(x.sizes()), x.scalar_type());
}

}  // namespace noregret::ops
