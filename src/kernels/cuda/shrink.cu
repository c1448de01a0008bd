#include <cooperative_groups.h>

#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kNumWarps = kThreads / kWarp;
constexpr int kClusterSize = 8;
constexpr int kRows = 16;     // of x, a block
constexpr int kColumns = 64;  // of the result, a block
constexpr int kTiles = kColumns / 8;
constexpr int kOwnRows = kRows / kClusterSize;
constexpr int kChunk = 32;  // elements of a row that a warp takes at a time
constexpr int kStride = kClusterSize * kNumWarps * kChunk;

struct Shared {
  float parts[kNumWarps][kRows][kColumns];
  float sums[kClusterSize][kOwnRows][kColumns];  // of every block's parts, for the rows that this block joins
};

// Cluster (16 rows, 64 columns): its warps take the rows' chunks in turn, its blocks join theirs, all in a fixed order.
// The elements of a chunk are dealt to lanes eight by eight; which of a product's places they take does not matter as
// long as x and a agree.
__global__ void __cluster_dims__(1, kClusterSize, 1) __launch_bounds__(kThreads)
    shrink_kernel(int num_rows, int size, Bf16* x, int64_t x_stride, const Bf16* a, int64_t a_stride, int rank) {
  auto& shared = *dynamic_shared<Shared>();
  cooperative_groups::cluster_group cluster = cooperative_groups::this_cluster();
  auto all_are_there = cluster.barrier_arrive();
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, j = lane % 4;
  const int first_row = static_cast<int>(blockIdx.x) * kRows, first_column = static_cast<int>(blockIdx.z) * kColumns;
  const int num_columns = min(kColumns, rank - first_column);
  uint4 factors[kTiles];
  const auto load_factors = [&](int k) {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      if (t * 8 < num_columns)
        factors[t] = *reinterpret_cast<const uint4*>(a + (first_column + t * 8 + g) * a_stride + k + 8 * j);
    }
  };
  int k = (static_cast<int>(blockIdx.y) * kNumWarps + warp) * kChunk;
  if (k < size) load_factors(k);
  wait_for_inputs();
  const Bf16* low = x + min(first_row + g, num_rows - 1) * x_stride + 8 * j;
  const Bf16* high = x + min(first_row + g + 8, num_rows - 1) * x_stride + 8 * j;
  float sums[kTiles][4] = {};
  for (; k < size; k += kStride) {
    const uint4 of_low = *reinterpret_cast<const uint4*>(low + k), of_high = *reinterpret_cast<const uint4*>(high + k);
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      if (t * 8 >= num_columns) continue;
      multiply_tile(sums[t], {of_low.x, of_high.x, of_low.y, of_high.y}, factors[t].x, factors[t].y);
      multiply_tile(sums[t], {of_low.z, of_high.z, of_low.w, of_high.w}, factors[t].z, factors[t].w);
    }
    if (k + kStride < size) load_factors(k + kStride);
  }
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    *reinterpret_cast<float2*>(&shared.parts[warp][g][t * 8 + 2 * j]) = {sums[t][0], sums[t][1]};
    *reinterpret_cast<float2*>(&shared.parts[warp][g + 8][t * 8 + 2 * j]) = {sums[t][2], sums[t][3]};
  }
  __syncthreads();
  cluster.barrier_wait(std::move(all_are_there));
  const auto block = static_cast<int>(blockIdx.y);
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kColumns; i += kThreads) {
    const int row = i / kColumns, column = i % kColumns;
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kNumWarps; ++w) sum += shared.parts[w][row][column];
    cluster.map_shared_rank(&shared, row / kOwnRows)->sums[block][row % kOwnRows][column] = sum;
  }
  cluster.sync();
  for (int i = static_cast<int>(threadIdx.x); i < kOwnRows * kColumns; i += kThreads) {
    const int row = block * kOwnRows + i / kColumns, column = i % kColumns;
    if (column >= num_columns || first_row + row >= num_rows) continue;
    float sum = 0.0f;
#pragma unroll
    for (int b = 0; b < kClusterSize; ++b) sum += shared.sums[b][i / kColumns][column];
    x[(first_row + row) * x_stride + size + first_column + column] = to_bf16(sum);
  }
}

}  // namespace

void shrink(Stream stream, int64_t num_rows, int64_t size, Bf16* x, int64_t x_stride, const Bf16* a, int64_t a_stride,
            int64_t rank) {
  if (num_rows == 0 || rank == 0) return;
  if (size % kChunk != 0 || rank % 8 != 0)
    refuse("shrink", "rows that are no multiple of 32, or a rank that is none of 8");
  const dim3 grid(blocks_for(num_rows, kRows), kClusterSize, blocks_for(rank, kColumns));
  launch_early("shrink", shrink_kernel, {grid, kThreads, sizeof(Shared), dim3(1, kClusterSize)}, stream,
               to_int(num_rows), to_int(size), x, x_stride, a, a_stride, to_int(rank));
}

}  // namespace noregret::kernels::cuda
