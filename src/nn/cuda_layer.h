#pragma once

#include <memory>

#include "nn/cuda_linear.h"
#include "nn/cuda_plan.h"
#include "noregret/nn/causal_lm.h"

namespace noregret {

// The linear layers of a decoder layer, those that read the same together.
struct CudaLayerWeights {
  FusedLinear qkv, o, gate_up, down;
};
struct CudaWeights {
  std::vector<std::unique_ptr<CudaLayerWeights>> layers;
  std::unique_ptr<FusedLinear> head;
  int64_t num_moves = 0;  // how often a matrix has moved: what was captured before is stale then

  void attach(const AdapterStack& stack);  // all of them
  std::vector<int64_t> tails() const;      // of all
  void attach(FusedLinear& linear, const AdapterStack& stack) { num_moves += linear.attach(stack) ? 1 : 0; }
};

// A decoder layer on the CUDA kernels, forward and backward.
struct CudaLayer {
  const LayerWeights* norms;
  CudaLayerWeights* linears;
  CudaWeights* all;
  const AdapterStack* stack;
  int64_t index;
  Tensor rows;  // [M] int64: whose results are wanted; undefined: of all
};

// The layer's matrices become those of its stack: another forward may have been with other adapters.
void attach_adapters(const CudaLayer& layer);

// x [N, D] bf16 -> [N, D], or [M, D] of the layer's rows. Differentiable in x, in the adapters' tensors and in the
// weights that require it.
Tensor forward_on_cuda(const CudaLayer& layer, const std::shared_ptr<CudaPlan>& plan, const HfConfig& config,
                       const Tensor& x);
// forward_on_cuda() of all layers, with its bits in fewer passes over memory: x [N, D], embedded -> [N, D], or
// [M, D] of the last layer's rows. Not differentiable.
Tensor layers_on_cuda(const std::vector<CudaLayer>& layers, const CudaPlan& plan, const HfConfig& config,
                      const Tensor& x);
Tensor rms_norm_on_cuda(const Tensor& x, const Tensor& weight, double eps);

// f32 logits of rows [M, D] -> [M, V], not differentiable.
Tensor logits_on_cuda(CudaWeights& weights, const AdapterStack& stack, const Tensor& rows, bool is_exact);
TokenScores token_scores_on_cuda(CudaWeights& weights, const AdapterStack& stack, const Tensor& rows,
                                 const Tensor& targets, double temperature, bool is_exact);

// ops::sample() of logits on the device.
bool sample_on_cuda(const Tensor& logits, double temperature, const float* uniforms, int64_t* ids, float* logprobs);

}  // namespace noregret
