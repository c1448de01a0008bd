#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "noregret/kernels/attention.h"

namespace noregret::kernels {

constexpr int64_t kQueryRows = 48;  // query heads of a task, so that keys read once serve many

// Memory that a thread uses again and again.
inline float* scratch(std::vector<float>& memory, int64_t size) {
  if (static_cast<int64_t>(memory.size()) < size) memory.resize(static_cast<size_t>(size));
  return memory.data();
}

// Rows of one segment that share a key head.
struct QueryTile {
  const QuerySegment* segment;
  int64_t first;  // row in the segment
  int64_t num_rows;
  int64_t kv_head;
};

inline int64_t rows_per_tile(const KvShape& shape) { return std::max<int64_t>(1, kQueryRows / shape.group()); }

// The queries of a tile, row after row and in it head after head, with rows of `stride`.
inline void gather_queries(const KvShape& shape, const QueryTile& tile, const float* x, int64_t stride, float* out) {
  const int64_t dim = shape.head_dim;
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    const float* row =
        x + ((tile.segment->first_row + tile.first + i) * shape.num_heads + tile.kv_head * shape.group()) * dim;
    for (int64_t head = 0; head < shape.group(); ++head, out += stride) {
      std::copy_n(row + head * dim, dim, out);
      std::fill(out + dim, out + stride, 0.0f);
    }
  }
}

inline void scatter_queries(const KvShape& shape, const QueryTile& tile, const float* in, int64_t stride, float* x) {
  const int64_t dim = shape.head_dim;
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    float* row =
        x + ((tile.segment->first_row + tile.first + i) * shape.num_heads + tile.kv_head * shape.group()) * dim;
    for (int64_t head = 0; head < shape.group(); ++head, in += stride) std::copy_n(in, dim, row + head * dim);
  }
}

inline float score_scale(const KvShape& shape) { return 1.0f / std::sqrt(static_cast<float>(shape.head_dim)); }

}  // namespace noregret::kernels
