#pragma once

#include "noregret/kernels/cuda.h"

// What attention() of cuda.h keeps of splits until the last one of a row joins them: counters, then partial results.
namespace noregret::kernels::cuda {

constexpr int kPartTail = 4;  // floats behind a partial sum of head_dim: total, maximum, and nothing twice

int64_t attention_splits(int64_t max_length);
int64_t attention_counter_bytes(int64_t num_rows, const KvShape& shape);

}  // namespace noregret::kernels::cuda
