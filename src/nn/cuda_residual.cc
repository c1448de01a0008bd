#include "nn/cuda_residual.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>

#include "noregret/base/check.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

Tensor CudaResidual::norm(const Tensor& weight, double eps, const FusedLinear& linear, bool is_exact, Tensor* inverse) {
  if (inverse != nullptr) *inverse = at::empty({x_.size(0)}, x_.options().dtype(at::kFloat));
  const Tensor y = linear.extended_rows(x_.size(0));
  const bool shrinks = linear.tail() > 0 && (is_exact || x_.size(0) <= kMaxShrinkRows);
  run(weight, eps, shrinks ? linear.a() : Tensor(), y, inverse != nullptr ? *inverse : Tensor());
  if (!shrinks) linear.shrink(y, is_exact);
  return y;
}

void CudaResidual::select(const Tensor& rows) {
  NOREGRET_CHECK(!product_.defined());
  x_ = x_.index_select(0, rows);
}

const Tensor& CudaResidual::sum() {
  if (product_.defined()) run(Tensor(), 0.0, Tensor(), Tensor(), Tensor());
  return x_;
}

void CudaResidual::run(const Tensor& weight, double eps, const Tensor& a, const Tensor& y, const Tensor& inverse) {
  cuda::LowRankSum added{};
  Tensor sum = x_, b;
  if (product_.defined()) {
    added = {.y = bf16_data(product_), .y_stride = product_.stride(0), .rank = of_->tail()};
    sum = at::empty_like(x_);
  }
  if (added.rank > 0) {
    b = of_->b();
    added.b = bf16_data(b);
    added.b_stride = b.stride(0);
  }
  const auto data = [](const Tensor& tensor) { return tensor.defined() ? bf16_data(tensor) : nullptr; };
  cuda::add_rms_norm(current_stream(x_.device()), x_.size(0), x_.size(1), bf16_data(x_), added, bf16_data(sum),
                     data(weight), static_cast<float>(eps), data(a), a.defined() ? a.stride(0) : 0,
                     a.defined() ? a.size(0) : 0, data(y), y.defined() ? y.stride(0) : 0,
                     inverse.defined() ? inverse.mutable_data_ptr<float>() : nullptr);
  x_ = sum;
  product_ = Tensor();
}

}  // namespace noregret
