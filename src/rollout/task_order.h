#pragma once

#include <cstdint>
#include <vector>

namespace noregret {

// Indices number (step - 1) * count ... step * count - 1 of an order that goes round 0..size-1 again and again,
// shuffled anew each epoch by (seed, epoch). An endless source (size TaskSource::kEndless) is read in order. size > 0,
// step >= 1.
std::vector<int64_t> step_indices(int64_t size, uint64_t seed, int64_t step, int64_t count);

}  // namespace noregret
