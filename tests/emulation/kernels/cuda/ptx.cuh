#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tests/emulation/blocks.h"

// src/kernels/cuda/ptx.cuh, which says what each does, in C++.
namespace noregret::kernels::cuda {

inline void wait_for_inputs() {}  // launches end before the next begins

inline void unpack_pair(uint32_t pair, float* to) {
  to[0] = __uint_as_float(pair << 16);
  to[1] = __uint_as_float(pair & 0xffff0000U);
}

inline void multiply_tile(float (&d)[4], const uint4& a, uint32_t b0, uint32_t b1) {
  const emulation::Words* of_lane = emulation::exchange({{a.x, a.y, a.z, a.w, b0, b1}});
  const int lane = this_lane(), g = lane / 4, j = lane % 4;
  float rows[2][16], columns[2][16];  // of a, g and g + 8; of b, 2 j and 2 j + 1
  for (int pair = 0; pair < 4; ++pair) {
    for (int part = 0; part < 4; ++part)
      unpack_pair(of_lane[4 * g + pair].word[part], &rows[part % 2][part / 2 * 8 + 2 * pair]);
    for (int part = 0; part < 4; ++part)
      unpack_pair(of_lane[4 * (2 * j + part % 2) + pair].word[4 + part / 2],
                  &columns[part % 2][part / 2 * 8 + 2 * pair]);
  }
  for (int k = 0; k < 16; ++k) {
    for (int i = 0; i < 4; ++i) d[i] += rows[i / 2][k] * columns[i % 2][k];  // each product is exact
  }
}

inline uint32_t transpose8x8(uint32_t row) {
  const emulation::Words* of_lane = emulation::exchange({{row}});
  const int lane = this_lane(), g = lane / 4, j = lane % 4;
  const auto element = [&](int from_row) { return of_lane[4 * from_row + g / 2].word[0] >> (g % 2 * 16) & 0xffffU; };
  return element(2 * j) | element(2 * j + 1) << 16;
}

inline uint4 load_if(bool condition, const void* from) {
  return condition ? *static_cast<const uint4*>(from) : uint4{};
}
inline uint2 load_pair_if(bool condition, const void* from) {
  return condition ? *static_cast<const uint2*>(from) : uint2{};
}
inline uint4 load_once(const void* from) { return *static_cast<const uint4*>(from); }

}  // namespace noregret::kernels::cuda
