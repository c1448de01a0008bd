#pragma once

#include <vector>

#include "nn/batch_pages.h"
#include "noregret/kernels/cuda.h"
#include "noregret/nn/kv_cache.h"
#include "noregret/tensor/token_batch.h"

namespace noregret {

kernels::cuda::KvShape cuda_kv_shape(const HfConfig& config);
// Whether kernels/cuda.h can do the model: what it cannot is left to LibTorch's operators.
bool cuda_kernels_can(const HfConfig& config);

// A batch as the CUDA kernels take it, on the device, worked out once a forward for all layers.
struct CudaPlan {
  int64_t num_rows = 0;
  bool is_exact = false;  // a row's bits do not depend on its batch
  bool is_step = false;   // of decoding: every row is the last of a sequence of its own
  Tensor positions;       // [N] int32
  Tensor rotation;        // ops::rotary_table()

  // Attention over pages: of a cache, or, exact without one, of the plan's own.
  KvCache* cache = nullptr;
  bool reads_pages = false;
  Tensor tables;     // [sequences, max_pages] int32
  Tensor sequences;  // [N] int32
  int64_t max_length = 0;
  Tensor scratch;
  Tensor keys, values;                         // one layer's pages, without a cache
  std::vector<BatchPages::SharedPage> shared;  // of those
  std::vector<int64_t> first_rows;             // of the segments, and the end

  // Attention over the batch itself, packed: causal within each segment, and joined with that to its prefix.
  Tensor starts;  // [segments + 1] int32
  int64_t longest = 0;
  struct Prefixes {
    Tensor rows;                      // [P] int64: rows of prefixes, one run of followers after the other
    Tensor query_starts, key_starts;  // [runs + 1] int32: runs of rows of the batch, and of `rows`
    int64_t longest_query = 0, longest_key = 0;
  } prefixes;  // rows is undefined where there are none
};

// Reserves pages of the cache. Throws DataError when a sequence is longer than the context.
CudaPlan plan_on_cuda(const TokenBatch& batch, const HfConfig& config, KvCache* cache, const Tensor& rotary_table,
                      bool is_exact);

}  // namespace noregret
