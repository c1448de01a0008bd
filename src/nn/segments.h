#pragma once

#include <vector>

#include "noregret/format/hf_config.h"
#include "noregret/nn/kv_cache.h"
#include "noregret/tensor/token_batch.h"

namespace noregret {

// How many tokens precede each segment: those of its prefix, or what its slot holds. Checks that the segments cover the
// batch and fit the cache. Throws DataError when a sequence is longer than the context.
std::vector<int64_t> lengths_before(const TokenBatch& batch, const HfConfig& config, const KvCache* cache);

}  // namespace noregret
