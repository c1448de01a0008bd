#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <climits>
#include <cmath>
#include <cstdint>
#include <utility>

#include "tests/emulation/blocks.h"

// As much of CUDA C++ as the kernels use, for a C++ compiler. Names are CUDA's.
#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __shared__ static thread_local  // blocks that run at the same time do so in threads of their own

#define threadIdx (emulation::place.thread)
#define blockIdx (emulation::place.block)
#define blockDim (emulation::place.block_size)
#define gridDim (emulation::place.grid)

struct dim3 {
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned x, y, z;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};

using std::isfinite;
using std::max;
using std::min;

// ---- numbers

inline float __uint_as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t __float_as_uint(float value) { return std::bit_cast<uint32_t>(value); }
inline float __expf(float x) { return std::exp(x); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline int __ffs(int bits) { return bits == 0 ? 0 : std::countr_zero(static_cast<uint32_t>(bits)) + 1; }
inline int __clz(int bits) { return std::countl_zero(static_cast<uint32_t>(bits)); }

// ---- memory

template <class T>
T __ldcg(const T* from) {
  return *from;
}
template <class T>
T __ldcs(const T* from) {
  return *from;
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline int atomicAdd(int* to, int value) { return std::atomic_ref<int>(*to).fetch_add(value); }
inline int atomicMin(int* to, int value) {
  std::atomic_ref<int> at(*to);
  int seen = at;
  while (value < seen && !at.compare_exchange_weak(seen, value)) {
  }
  return seen;
}

// ---- threads that wait for each other. Warps are whole: the mask is all lanes.

inline void __syncthreads() { emulation::wait_for_block(); }
inline int __syncthreads_and(int value) { return emulation::is_all(value != 0) ? 1 : 0; }

inline float shuffle(float value, int from) {
  const emulation::Words* of_lane = emulation::exchange({{__float_as_uint(value)}});
  return __uint_as_float(of_lane[from].word[0]);
}
inline int this_lane() { return static_cast<int>(threadIdx.x) % emulation::kLanes; }
inline float __shfl_sync(unsigned, float value, int lane) { return shuffle(value, lane); }
inline float __shfl_xor_sync(unsigned, float value, int mask) { return shuffle(value, this_lane() ^ mask); }
inline float __shfl_up_sync(unsigned, float value, int step) {
  const int from = this_lane() - step;
  return shuffle(value, from < 0 ? this_lane() : from);
}
inline unsigned __ballot_sync(unsigned, bool vote) {
  const emulation::Words* of_lane = emulation::exchange({{vote ? 1U : 0U}});
  unsigned votes = 0;
  for (int lane = 0; lane < emulation::kLanes; ++lane) votes |= of_lane[lane].word[0] << lane;
  return votes;
}
