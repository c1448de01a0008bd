#pragma once

#include "kernels/cuda/device_math.cuh"

namespace noregret::kernels::cuda {

__device__ inline uint32_t pack2(float low, float high) {
  return to_bf16(low) | (static_cast<uint32_t>(to_bf16(high)) << 16);
}
// Two neighbours of a packed word.
__device__ inline float2 unpack2(uint32_t word) {
  return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000U)};
}

// Turns the pairs (i, i + half) and (i + 1, i + 1 + half) of a head: `low` holds i and i + 1, `high` the others; turn =
// (cos, sin) of the two angles. The same bits wherever it is used.
__device__ inline void turn_pairs(uint32_t& low, uint32_t& high, const float4& turn) {
  const float2 a = unpack2(low), b = unpack2(high);
  low = pack2(fmaf(a.x, turn.x, -(b.x * turn.y)), fmaf(a.y, turn.z, -(b.y * turn.w)));
  high = pack2(fmaf(b.x, turn.x, a.x * turn.y), fmaf(b.y, turn.z, a.y * turn.w));
}

}  // namespace noregret::kernels::cuda
