#pragma once

#include <cstdint>
#include <vector>

#include "noregret/tensor/tensor.h"

namespace noregret {

// A run of consecutive packed tokens that belong to one sequence. A token attends to all tokens of the prefix (another
// segment of the same batch, or what the cache slot holds) and causally to its own segment.
struct Segment {
  int64_t begin = 0;            // first row in the batch
  int64_t length = 0;           // rows, > 0
  int64_t prefix_segment = -1;  // an earlier segment without a prefix of its own, or -1
  int64_t kv_slot = -1;         // cache slot whose content precedes this segment and to which it is appended, or -1
};

// Packed tokens. One type for prefill, decode, packed and prefix-shared training. Segments cover all rows in order.
struct TokenBatch {
  Tensor ids;        // [N] int64
  Tensor positions;  // [N] int64, position in the sequence (prefix included)
  std::vector<Segment> segments;

  int64_t num_tokens() const { return ids.size(0); }
};

}  // namespace noregret
