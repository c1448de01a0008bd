#include "kernels/attention_scratch.h"

namespace noregret::kernels::cuda {

int64_t attention_splits(int64_t max_length) { return (max_length + kSplitKeys - 1) / kSplitKeys; }

int64_t attention_counter_bytes(int64_t num_rows, const KvShape& shape) {
  return (num_rows * shape.num_kv_heads * static_cast<int64_t>(sizeof(int)) + 15) / 16 * 16;
}

int64_t attention_scratch_bytes(int64_t num_rows, const KvShape& shape, int64_t max_length) {
  const int64_t floats = num_rows * attention_splits(max_length) * shape.num_heads * (shape.head_dim + kPartTail);
  return attention_counter_bytes(num_rows, shape) + floats * static_cast<int64_t>(sizeof(float));
}

}  // namespace noregret::kernels::cuda
