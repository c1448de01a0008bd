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

// Unit complex numbers e^(i * position * frequency) times the attention factor, [max_positions, head_dim / 2] complex
// f32; frequencies at RopeOptions, angles rounded to f32 as transformers rounds them.
Tensor rotary_table(const RopeOptions& rope, int64_t head_dim, int64_t max_positions, at::Device device);

// Half-split rotation (arXiv:2104.09864 in the NeoX layout): element i of the first half and of the second are one
// complex number. x [N, heads, head_dim], rotation [N, 1, head_dim / 2] complex -> like x
Tensor rotary(const Tensor& x, const Tensor& rotation);

// Which rows attend to which, worked out once a forward for all layers. Segment b is row b of the padded tensors; its
// keys are what precedes it (the rows of its prefix, or what its slot holds), then its own.
struct AttentionPlan {
  int64_t num_segments = 0;  // B
  int64_t max_query = 0;     // Tq
  int64_t max_key = 0;       // Tk
  bool is_padded = false;    // false: the segments are alike in length and the batch is [B, Tq] as it stands
  Tensor query_rows;         // [B * Tq] int64 rows of the batch; padding repeats row 0
  Tensor output_rows;        // [N] int64: where row n lies in [B * Tq]
  Tensor mask;  // [B, 1, 1 or rep * Tq, Tk] additive: 0 or -inf; a padded query sees what the segment's last one sees
  Tensor rotation;  // [N, 1, head_dim / 2] complex f32, by position

  // Without a cache. key_rows is undefined where keys lie as queries do (no prefixes).
  Tensor key_rows;       // [B * Tk] int64 rows of the batch
  Tensor own_keys;       // [N] int64: where row n lies, as a key of its own segment, in [B * Tk]
  struct SharedPrefix {  // segments first .. first + count - 1 begin with `length` rows of the batch from `begin` on
    int64_t first, count, begin, length;
  };
  std::vector<SharedPrefix> shared_prefixes;

  // With a cache.
  bool uses_cache = false;
  Tensor cache_rows;  // [N] int64: slot * max_length + position of row n
  Tensor slots;       // [B] int64; undefined where the slots are 0 .. B-1 in order
};
// `table` is rotary_table()'s. Throws DataError when a segment ends beyond config.max_positions.
AttentionPlan plan_attention(const TokenBatch& batch, const HfConfig& config, const KvCache* cache,
                             const Tensor& table);

// softmax(q k^T / sqrt(head_dim)) v with grouped key/value heads.  q [N, H, d], k and v [N, K, d] -> [N, H * d].
// With a cache, k and v are first appended to their slots (the caller advances the lengths after the last layer).
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionPlan& plan, KvCache* cache,
                 int64_t layer);

// One token a row by the kernels' sampler (kernels/rows.h: sample()), on the CPU wherever the logits are.
//   logits [B, V] f32; uniforms, ids, logprobs: B each. Returns false when a row is not finite.
[[nodiscard]] bool sample(const Tensor& logits, double temperature, const float* uniforms, int64_t* ids,
                          float* logprobs);

}  // namespace noregret::ops
