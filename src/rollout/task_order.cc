#include "rollout/task_order.h"

#include "noregret/base/check.h"
#include "noregret/base/rng.h"
#include "noregret/rollout/env.h"

namespace noregret {

std::vector<int64_t> step_indices(int64_t size, uint64_t seed, int64_t step, int64_t count) {
  NOREGRET_CHECK(size > 0 && step >= 1, "size ", size, ", step ", step);
  std::vector<int64_t> indices;
  std::vector<int64_t> order;
  int64_t order_epoch = -1;
  for (int64_t position = (step - 1) * count; position < step * count; ++position) {
    if (size == TaskSource::kEndless) {
      indices.push_back(position);
      continue;
    }
    const int64_t epoch = position / size;
    if (epoch != order_epoch)
      order = permutation(size, Rng::stream(seed, Purpose::kShuffle, {static_cast<uint64_t>(epoch)}));
    order_epoch = epoch;
    indices.push_back(order[position % size]);
  }
  return indices;
}

}  // namespace noregret
