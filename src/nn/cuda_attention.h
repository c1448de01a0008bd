#pragma once

#include "nn/cuda_plan.h"

namespace noregret {

// Attention of one layer over a plan's batch. qkv [N, (heads + 2 kv_heads) * head_dim] before rotary; it is turned in
// place, and appended to the plan's pages.
struct CudaAttention {
  Tensor y;    // [N, heads * head_dim]
  Tensor lse;  // [heads, N] f32; undefined with a cache
};
CudaAttention attention_on_cuda(const CudaPlan& plan, const HfConfig& config, int64_t layer, const Tensor& qkv);

// The gradient of qkv before rotary, of a forward without a cache, into grad_qkv [N, at least qkv's columns]. grad_y
// [N, heads * head_dim]; qkv as the forward left it.
void attention_backward_on_cuda(const CudaPlan& plan, const HfConfig& config, const Tensor& qkv,
                                const CudaAttention& attended, const Tensor& grad_y, const Tensor& grad_qkv);

}  // namespace noregret
