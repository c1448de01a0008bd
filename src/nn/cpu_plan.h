#pragma once

#include <vector>

#include "nn/batch_pages.h"
#include "nn/workspace.h"
#include "noregret/nn/kv_cache.h"
#include "noregret/tensor/token_batch.h"

namespace noregret {

// A batch as the CPU kernels take it, worked out once a forward for all layers, and memory that the layers use in turn.
struct CpuPlan {
  int64_t num_rows = 0;
  std::vector<kernels::QuerySegment> segments;
  const int64_t* positions = nullptr;  // of the batch, which outlives the plan's use
  Tensor kept_positions;
  const float* rotation = nullptr;  // ops::rotary_table() as pairs

  KvCache* cache = nullptr;
  // Without a cache: pages of one layer, written by each in turn.
  BatchPages pages;
  Tensor keys, values;
  std::vector<kernels::SegmentFamily> families;

  Workspace low_rank;  // between A and B of adapters
  Workspace layer;     // what a layer without a backward pass works out
};

// Throws DataError when a sequence is longer than the context.
CpuPlan plan_on_cpu(const TokenBatch& batch, const HfConfig& config, KvCache* cache, const Tensor& rotary_table);

}  // namespace noregret
