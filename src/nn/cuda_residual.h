#pragma once

#include "nn/cuda_linear.h"

namespace noregret {

// The residual stream of a forward: what it is, and the product of the linear before, which is added where the stream
// is read next, in one pass with the norm. Sums and norms have the same bits wherever layers are cut.
class CudaResidual {
 public:
  explicit CudaResidual(Tensor x) : x_(std::move(x)) {}  // [rows, D] bf16

  // product: of_linear.multiply_with_a(), [rows, D + tail]; the linear outlives the next call.
  void add(Tensor product, const FusedLinear& of_linear) {
    product_ = std::move(product);
    of_ = &of_linear;
  }
  // From now on of these rows only, [M] int64; nothing is to be added yet.
  void select(const Tensor& rows);
  // [norm | norm A^T] for the linear: [rows, D + tail]. Where `inverse` is not null it becomes 1 / rms, [rows] f32.
  Tensor norm(const Tensor& weight, double eps, const FusedLinear& linear, bool is_exact, Tensor* inverse);
  // The stream, with all that was to be added.
  const Tensor& sum();

 private:
  void run(const Tensor& weight, double eps, const Tensor& a, const Tensor& y, const Tensor& inverse);

  Tensor x_, product_;
  const FusedLinear* of_ = nullptr;
};

}  // namespace noregret
