#pragma once

#include <cstdint>
#include <vector>

#include "noregret/format/hf_config.h"
#include "noregret/nn/adapter.h"
#include "noregret/nn/kv_cache.h"
#include "noregret/tensor/tensor.h"
#include "noregret/tensor/token_batch.h"

// The one op interface of the model. The `ref` backend here is ATen: any float dtype, any device, differentiable.
namespace noregret::ops {

// x / sqrt(mean(x^2) + eps) * weight, in f32 whatever the dtype (arXiv:1910.07467).  x [N, D], weight [D] -> [N, D]
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps);

// y = x W^T + sum over the stack of scaling * (x A^T) B^T; no merge.  x [N, in], weight [out, in] -> [N, out]
Tensor linear(const Tensor& x, const Tensor& weight, const AdapterStack& stack, int64_t site_idx);

// silu(gate) * up (arXiv:2002.05202).  [N, I], [N, I] -> [N, I]
Tensor swiglu(const Tensor& gate, const Tensor& up);

// cos and sin tables in f32, [max_positions, head_dim / 2] each; formulas at RopeOptions.
struct RotaryTable {
  Tensor cos;
  Tensor sin;
};
RotaryTable rotary_table(const RopeOptions& rope, int64_t head_dim, int64_t max_positions, at::Device device);

// Half-split rotation (arXiv:2104.09864 in the NeoX layout).  x [N, heads, head_dim], cos and sin [N, head_dim / 2] -> like x
Tensor rotary(const Tensor& x, const Tensor& cos, const Tensor& sin);

// Which rows attend to which, worked out once a forward for all layers.
struct AttentionPlan {
  std::vector<Segment> segments;
  bool uses_cache = false;
  Tensor query_rows;  // [B, Tq] int64 rows of the batch, padded with row 0
  Tensor key_rows;    // [B, Tk] int64 rows of the batch (without cache), padded with row 0
  Tensor mask;        // [B, 1, rep * Tq, Tk] f32 additive: 0 or -inf
  Tensor output_rows; // [N] int64: where row n of the batch lies in the padded [B * Tq]
  int64_t max_query = 0;
  int64_t max_key = 0;
  std::vector<int64_t> slots;  // cache slot of each segment
  Tensor slot_index;           // [B] int64
  bool slots_are_dense = false;  // slots are 0..B-1 in order
};
AttentionPlan plan_attention(const TokenBatch& batch, const HfConfig& config, const KvCache* cache, at::Device device);

// softmax(q k^T / sqrt(head_dim)) v with grouped key/value heads.  q [N, H, d], k and v [N, K, d] -> [N, H * d].
// With a cache, k and v are first appended to their slots (the caller advances the lengths after the last layer).
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionPlan& plan, KvCache* cache, int64_t layer);

}  // namespace noregret::ops
