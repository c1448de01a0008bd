#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "nn/cuda_attention.h"
#include "nn/cuda_layer.h"
#include "noregret/base/check.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

namespace {

// The residual stream of a decode step, and what the linear before has left to add to it.
class Residual {
 public:
  explicit Residual(Tensor x) : x_(std::move(x)) {}
  void add(Tensor product, const FusedLinear& of) {
    product_ = std::move(product);
    of_ = &of;
  }
  // Adds what is left. [norm | norm A^T], or, without a linear, the norm.
  Tensor norm(const Tensor& weight, double eps, const FusedLinear* linear) {
    const int64_t num_rows = x_.size(0), size = x_.size(1);
    const Tensor y = linear != nullptr ? linear->extended_rows(num_rows) : at::empty_like(x_);
    const int64_t rank = linear != nullptr ? linear->tail() : 0;
    const Tensor a = rank > 0 ? linear->a() : Tensor();
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
    cuda::add_rms_norm(current_stream(x_.device()), num_rows, size, bf16_data(x_), added, bf16_data(sum),
                       bf16_data(weight), static_cast<float>(eps), rank > 0 ? bf16_data(a) : nullptr,
                       rank > 0 ? a.stride(0) : 0, rank, bf16_data(y), y.stride(0));
    x_ = sum;
    product_ = Tensor();
    return y;
  }

 private:
  Tensor x_, product_;
  const FusedLinear* of_ = nullptr;
};

}  // namespace

Tensor decode_on_cuda(const std::vector<CudaLayer>& layers, const Tensor& last_norm, const CudaPlan& plan,
                      const HfConfig& config, const Tensor& x) {
  NOREGRET_CHECK(plan.is_step);
  const double eps = config.rms_norm_eps;
  Residual residual(x);
  for (const CudaLayer& layer : layers) {
    attach_adapters(layer);
    const CudaLayerWeights& w = *layer.linears;
    const Tensor qkv = w.qkv.multiply(residual.norm(layer.norms->input_norm, eps, &w.qkv), false);
    const Tensor mixed = at::empty({x.size(0), w.o.in()}, x.options());
    attention_on_cuda(plan, config, layer.index, qkv, mixed);
    residual.add(w.o.multiply_with_a(mixed), w.o);
    const Tensor activated = w.gate_up.multiply_swiglu(residual.norm(layer.norms->post_norm, eps, &w.gate_up));
    residual.add(w.down.multiply_with_a(activated), w.down);
  }
  return residual.norm(last_norm, eps, nullptr);
}

}  // namespace noregret
