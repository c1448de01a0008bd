#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace noregret::kernels::cuda {

// d += a b with a [16 x 16] bf16, b [16 x 8] bf16 and d [16 x 8] f32, spread over a warp's lanes (PTX ISA, "Matrix
// Fragments for mma.m16n8k16"): with g = lane / 4 and j = lane % 4, a.x holds row g, columns 2 j and 2 j + 1, a.y row g
// + 8, a.z and a.w the same rows 8 columns on; b0 rows 2 j and 2 j + 1 of column g, b1 8 rows on; d[0] and d[1] row g,
// columns 2 j and 2 j + 1, d[2] and d[3] row g + 8.
__device__ inline void multiply_tile(float (&d)[4], const uint4& a, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

}  // namespace noregret::kernels::cuda
