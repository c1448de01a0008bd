#pragma once

#include <cuda_runtime.h>

#include <cstdint>

// Instructions that CUDA C++ has no word for (PTX ISA). Without a GPU tests put their own in place of this header.
namespace noregret::kernels::cuda {

// Lets the next kernel take its places, too, and waits for the one before, and with it for all earlier ones
// (launch.cuh).
__device__ inline void wait_for_inputs() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// d += a b with a [16 x 16] bf16, b [16 x 8] bf16 and d [16 x 8] f32, spread over a warp's lanes ("Matrix Fragments for
// mma.m16n8k16"): with g = lane / 4 and j = lane % 4, a.x holds row g, columns 2 j and 2 j + 1, a.y row g + 8, a.z and
// a.w the same rows 8 columns on; b0 rows 2 j and 2 j + 1 of column g, b1 8 rows on; d[0] and d[1] row g, columns 2 j
// and 2 j + 1, d[2] and d[3] row g + 8.
__device__ inline void multiply_tile(float (&d)[4], const uint4& a, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

// Of an 8 x 8 matrix of 16-bit elements, of which lane (g, j) holds columns 2 j and 2 j + 1 of row g: its transpose,
// held the same way.
__device__ inline uint32_t transpose8x8(uint32_t row) {
  uint32_t column;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(column) : "r"(row));
  return column;
}

// 16 or 8 bytes; zeros unless the condition holds. Without a branch, so that many loads are under way at a time.
__device__ inline uint4 load_if(bool condition, const void* from) {
  uint4 v{};
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %5, 0; @p ld.global.v4.b32 {%0, %1, %2, %3}, [%4]; }"
               : "+r"(v.x), "+r"(v.y), "+r"(v.z), "+r"(v.w)
               : "l"(__cvta_generic_to_global(from)), "r"(static_cast<int>(condition))
               : "memory");
  return v;
}
__device__ inline uint2 load_pair_if(bool condition, const void* from) {
  uint2 v{};
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %3, 0; @p ld.global.v2.b32 {%0, %1}, [%2]; }"
               : "+r"(v.x), "+r"(v.y)
               : "l"(__cvta_generic_to_global(from)), "r"(static_cast<int>(condition))
               : "memory");
  return v;
}

// 16 bytes that nobody writes meanwhile and that are not read again soon.
__device__ inline uint4 load_once(const void* from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

}  // namespace noregret::kernels::cuda
