#pragma once

#include "tests/emulation/blocks.h"

// As much of CUDA's cooperative groups as the kernels use. Names are CUDA's.
namespace cooperative_groups {

class cluster_group {
 public:
  struct arrival_token {};
  unsigned block_rank() const { return emulation::block_rank(); }
  void sync() const { emulation::wait_for_cluster(); }
  arrival_token barrier_arrive() const { return {}; }
  void barrier_wait(arrival_token&&) const { emulation::wait_for_cluster(); }
  template <class T>
  T* map_shared_rank(T* shared, unsigned rank) const {
    return static_cast<T*>(emulation::in_block(shared, rank));
  }
};
inline cluster_group this_cluster() { return {}; }

}  // namespace cooperative_groups
