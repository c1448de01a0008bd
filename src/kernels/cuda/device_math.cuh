#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "noregret/kernels/cuda.h"

namespace noregret::kernels::cuda {

constexpr int kWarp = 32;

inline int to_int(int64_t value) { return static_cast<int>(value); }
inline unsigned blocks_for(int64_t count, int64_t per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

__device__ inline float to_float(Bf16 bits) { return __uint_as_float(static_cast<uint32_t>(bits) << 16); }
__device__ inline Bf16 to_bf16(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }

// Eight neighbours, one 16-byte access.
struct Vector8 {
  float value[8];
};
__device__ inline Vector8 unpack(uint4 packed) {
  const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
  Vector8 v;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v.value[2 * i] = __uint_as_float(words[i] << 16);
    v.value[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000U);
  }
  return v;
}
__device__ inline uint4 pack(const Vector8& v) {
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(v.value[2 * i], v.value[2 * i + 1]);  // one instruction
    words[i] = *reinterpret_cast<const uint32_t*>(&pair);
  }
  return {words[0], words[1], words[2], words[3]};
}
__device__ inline Vector8 load8(const Bf16* from) { return unpack(*reinterpret_cast<const uint4*>(from)); }
__device__ inline void store8(Bf16* to, const Vector8& v) { *reinterpret_cast<uint4*>(to) = pack(v); }
__device__ inline float dot(const Vector8& x, const Vector8& y, float sum) {
#pragma unroll
  for (int i = 0; i < 8; ++i) sum = fmaf(x.value[i], y.value[i], sum);
  return sum;
}

__device__ inline float silu(float x) { return x / (1.0f + __expf(-x)); }

// The same tree in every lane and block.
__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffU, value, step);
  return value;
}
__device__ inline float warp_max(float value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, step));
  return value;
}
// Of all threads of a block, a multiple of a warp; `shared` holds one float a warp and may be used again afterwards.
__device__ inline float block_sum(float value, float* shared) {
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0.0f;
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / kWarp; ++warp) sum += shared[warp];
  __syncthreads();
  return sum;
}

}  // namespace noregret::kernels::cuda
