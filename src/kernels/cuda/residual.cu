#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kRows = 8;            // of a block
constexpr int kChunk = 32;          // elements of a row that a warp takes at a time
constexpr int kTile = 16;           // ranks of z that a product takes
constexpr int kInRegisters = 1536;  // elements of a row that stay there; the rest is read where it is needed

struct Args {
  int num_rows, size;
  const Bf16* x;
  LowRankSum added;
  Bf16* sum;
  const Bf16* weight;
  float eps;
  const Bf16* a;
  int a_stride, b_stride, rank;
  float one_by_size;
  Bf16* y;
  int64_t y_stride;
  float* inverse;
};

// With g = lane / 4 and j = lane % 4, a lane holds elements 8 j .. 8 j + 7 of row g of a chunk: one access. Tile t of
// the chunk (t < 4), eight columns of a product with z, is elements 8 i + 2 t and 8 i + 2 t + 1 (i < 4), so that the
// two columns of the tile that a lane gets are elements of its own, and the tiles after each other are the operand of
// the product with a.

// Columns g of a chunk's tiles, 16 ranks dealt to lanes four by four, as those of z are; from is where the first has
// them. Zeros unless the condition holds.
struct ChunkOfB {
  uint2 tile[4];
};
__device__ ChunkOfB chunk_of_b(bool condition, const Bf16* from, int stride) {
  ChunkOfB b;
#pragma unroll
  for (int t = 0; t < 4; ++t) b.tile[t] = load_pair_if(condition, from + 2 * t * stride);
  return b;
}

// Ranks g and, of 16, g + 8: elements 8 j .. 8 j + 7.
template <int kParts>
struct ChunkOfA {
  uint4 part[kParts];
};
template <int kParts>
__device__ ChunkOfA<kParts> chunk_of_a(bool condition, int num_ranks, const Bf16* from, int stride) {
  ChunkOfA<kParts> a;
#pragma unroll
  for (int p = 0; p < kParts; ++p) a.part[p] = load_if(condition && 8 * p < num_ranks, from + 8 * p * stride);
  return a;
}

__device__ uint32_t times(uint32_t x, uint32_t y) {
  const __nv_bfloat162 product =
      __hmul2(*reinterpret_cast<const __nv_bfloat162*>(&x), *reinterpret_cast<const __nv_bfloat162*>(&y));
  return *reinterpret_cast<const uint32_t*>(&product);
}
template <int kParts>
__device__ void scale(ChunkOfA<kParts>& a, const uint4& weight) {
#pragma unroll
  for (uint4& part : a.part)
    part = {times(part.x, weight.x), times(part.y, weight.y), times(part.z, weight.z), times(part.w, weight.w)};
}

// Block (8 rows, kRanks of a): all blocks of the rows work out the sum, the first writes it and the norm. Rows stay in
// registers, and z = norm a^T = inverse (sum (weight a)^T) is worked out before the norm is known. What earlier kernels
// do not touch, weights, is read before they have ended. A row's bits depend on the number of warps, not on kRanks.
// kIsLarge: added.rank > kTile, or rows longer than kInRegisters.
template <int kNumWarps, int kRanks, bool kIsLarge>
__global__ void __launch_bounds__(kNumWarps* kWarp) add_rms_norm_kernel(Args args) {
  constexpr int kAhead = kInRegisters / kChunk / kNumWarps, kQuarter = kNumWarps / 4, kParts = kRanks / 8;
  static_assert(kNumWarps % 4 == 0 && kNumWarps * kWarp >= kRows * kRanks);
  alignas(16) __shared__ float parts[kNumWarps][kRanks][kRows];  // of every warp: products with a
  alignas(16) __shared__ float squares_of[kRows][kNumWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, j = lane % 4;
  const int first_row = static_cast<int>(blockIdx.x) * kRows, first_rank = static_cast<int>(blockIdx.y) * kRanks;
  const int num_chunks = args.size / kChunk;
  const bool adds = args.added.y != nullptr, has_b = adds && args.added.rank > 0;
  const bool norms = args.weight != nullptr, has_a = norms && first_rank < args.rank;

  constexpr int kStep = kNumWarps * kChunk;  // from a warp's chunk to its next
  const int first_k = warp * kChunk + 8 * j;
  const Bf16* b_at = args.added.b + (warp * kChunk + 8 * (g / 2) + g % 2) * args.b_stride + 4 * j;
  const Bf16* a_at = args.a + (first_rank + g) * args.a_stride + first_k;
  const int num_ranks = has_a ? args.rank - first_rank : 0;  // a multiple of 8
  ChunkOfB of_b[kAhead];
  ChunkOfA<kParts> of_a[kAhead];
  uint4 of_weight[kAhead];
#pragma unroll
  for (int c = 0; c < kAhead; ++c) {
    const bool in = c * kNumWarps + warp < num_chunks;
    of_b[c] = chunk_of_b(in && has_b && 4 * j < args.added.rank, b_at + c * kStep * args.b_stride, args.b_stride);
    of_a[c] = chunk_of_a<kParts>(in, num_ranks, a_at + c * kStep, args.a_stride);
    of_weight[c] = load_if(in && norms, args.weight + first_k + c * kStep);
  }
#pragma unroll
  for (int c = 0; c < kAhead; ++c) scale(of_a[c], of_weight[c]);
  wait_for_inputs();

  const bool is_first = blockIdx.y == 0 && first_row + g < args.num_rows;
  const int64_t row = min(first_row + g, args.num_rows - 1);
  const Bf16* x = args.x + row * args.size + first_k;
  const Bf16* y = args.added.y + row * args.added.y_stride + first_k;
  const Bf16* z = args.added.y + row * args.added.y_stride + args.size + 4 * j;
  const auto ranks = [&](int first) { return load_pair_if(has_b && first + 4 * j < args.added.rank, z + first); };
  const uint2 first_ranks = ranks(0);
  uint4 of_x[kAhead], of_y[kAhead];
#pragma unroll
  for (int c = 0; c < kAhead; ++c) {
    const bool in = c * kNumWarps + warp < num_chunks;
    of_x[c] = load_if(in, x + c * kStep);
    of_y[c] = load_if(in && adds, y + c * kStep);
  }

  const auto expand = [&](int chunk, const ChunkOfB& first) {
    Vector8 delta;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      float sums[4] = {};
      multiply_tile(sums, {first_ranks.x, 0, first_ranks.y, 0}, first.tile[t].x, first.tile[t].y);
#pragma unroll 1
      for (int r = kTile; kIsLarge && r < args.added.rank; r += kTile) {
        const int column = (chunk - warp) * kChunk + 2 * t;
        const uint2 b =
            load_pair_if(chunk < num_chunks && r + 4 * j < args.added.rank, b_at + column * args.b_stride + r);
        const uint2 more = ranks(r);
        multiply_tile(sums, {more.x, 0, more.y, 0}, b.x, b.y);
      }
      delta.value[2 * t] = sums[0];
      delta.value[2 * t + 1] = sums[1];
    }
    return pack(delta);
  };
  float squares = 0.0f;
  float sums[2][4] = {};  // two, for less of a wait between products
  const auto add = [&](int chunk, const uint4& x, const uint4& y, const uint4& delta) {
    uint4 packed = x;
    if (adds) {
      Vector8 sum = unpack(x);
      const Vector8 v = unpack(y), d = unpack(delta);
#pragma unroll
      for (int k = 0; k < 8; ++k) sum.value[k] += v.value[k] + d.value[k];
      packed = pack(sum);
      if (is_first && chunk < num_chunks)
        *reinterpret_cast<uint4*>(args.sum + row * args.size + (chunk - warp) * kChunk + first_k) = packed;
    }
    const Vector8 v = unpack(packed);
    squares = dot(v, v, squares);
    return packed;
  };
  const auto shrink = [&](const ChunkOfA<kParts>& a, const uint4& v) {
    const uint4 low = a.part[0], high = kParts > 1 ? a.part[kParts - 1] : uint4{};
    multiply_tile(sums[0], {low.x, high.x, low.y, high.y}, v.x, v.y);
    multiply_tile(sums[1], {low.z, high.z, low.w, high.w}, v.z, v.w);
  };

  uint4 of_delta[kAhead] = {};
  if (has_b) {
#pragma unroll
    for (int c = 0; c < kAhead; ++c) of_delta[c] = expand(c * kNumWarps + warp, of_b[c]);
  }
#pragma unroll
  for (int c = 0; c < kAhead; ++c) of_x[c] = add(c * kNumWarps + warp, of_x[c], of_y[c], of_delta[c]);
  if (has_a) {
#pragma unroll
    for (int c = 0; c < kAhead; ++c) shrink(of_a[c], of_x[c]);
  }
#pragma unroll 1
  for (int chunk = kAhead * kNumWarps + warp; kIsLarge && chunk < num_chunks; chunk += kNumWarps) {
    const int k = (chunk - warp) * kChunk;
    const ChunkOfB b = chunk_of_b(has_b && 4 * j < args.added.rank, b_at + k * args.b_stride, args.b_stride);
    const uint4 v = add(chunk, load_if(true, x + k), load_if(adds, y + k), has_b ? expand(chunk, b) : uint4{});
    if (has_a) {
      ChunkOfA<kParts> a = chunk_of_a<kParts>(true, num_ranks, a_at + k, args.a_stride);
      scale(a, load_if(true, args.weight + first_k + k));
      shrink(a, v);
    }
  }
  if (!norms) return;

#pragma unroll
  for (int step = 1; step < 4; step *= 2) squares += __shfl_xor_sync(0xffffffffU, squares, step);
  if (j == 0) squares_of[g][warp] = squares;
  if (has_a) {
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      *reinterpret_cast<float2*>(&parts[warp][g + 8 * p][2 * j]) = {sums[0][2 * p] + sums[1][2 * p],
                                                                    sums[0][2 * p + 1] + sums[1][2 * p + 1]};
    }
  }
  __syncthreads();

  float partial[kQuarter], total = 0.0f;
#pragma unroll
  for (int i = 0; i < kQuarter; ++i) {
    const float4 q = *reinterpret_cast<const float4*>(&squares_of[g][4 * i]);
    partial[i] = (q.x + q.y) + (q.z + q.w);
  }
#pragma unroll
  for (int i = 0; i < kQuarter; ++i) total += partial[i];
  const float inverse = rsqrtf(fmaf(total, args.one_by_size, args.eps));
  if (has_a && static_cast<int>(threadIdx.x) < kRows * kRanks) {  // whole warps
    const int of_row = lane % kRows, rank = static_cast<int>(threadIdx.x) / kRows;
    const float inverse_of_row = __shfl_sync(0xffffffffU, inverse, 4 * of_row);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kQuarter; ++i) {
      sum += (parts[4 * i][rank][of_row] + parts[4 * i + 1][rank][of_row]) +
             (parts[4 * i + 2][rank][of_row] + parts[4 * i + 3][rank][of_row]);
    }
    if (first_row + of_row < args.num_rows && first_rank + rank < args.rank)
      args.y[(first_row + of_row) * args.y_stride + args.size + first_rank + rank] = to_bf16(inverse_of_row * sum);
  }
  if (!is_first) return;
  if (args.inverse != nullptr && warp == 0 && j == 0) args.inverse[row] = inverse;
  const auto norm = [&](int chunk, const uint4& of_row, const uint4& weight) {
    Vector8 v = unpack(of_row);
    const Vector8 w = unpack(weight);
#pragma unroll
    for (int i = 0; i < 8; ++i) v.value[i] = v.value[i] * inverse * w.value[i];
    *reinterpret_cast<uint4*>(args.y + row * args.y_stride + (chunk - warp) * kChunk + first_k) = pack(v);
  };
#pragma unroll
  for (int c = 0; c < kAhead; ++c) {
    if (c * kNumWarps + warp < num_chunks) norm(c * kNumWarps + warp, of_x[c], of_weight[c]);
  }
  const Bf16* written = adds ? args.sum + row * args.size + first_k : x;  // by this very thread
#pragma unroll 1
  for (int chunk = kAhead * kNumWarps + warp; kIsLarge && chunk < num_chunks; chunk += kNumWarps)
    norm(chunk, load_if(true, written + (chunk - warp) * kChunk),
         load_if(true, args.weight + first_k + (chunk - warp) * kChunk));
}

template <int kNumWarps, int kRanks, bool kIsLarge>
void launch(Stream stream, const Args& args) {
  const dim3 grid(blocks_for(args.num_rows, kRows), args.rank > 0 ? blocks_for(args.rank, kRanks) : 1);
  launch_early("add_rms_norm", add_rms_norm_kernel<kNumWarps, kRanks, kIsLarge>, {grid, kNumWarps * kWarp}, stream,
               args);
}

}  // namespace

void add_rms_norm(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const LowRankSum& added, Bf16* sum,
                  const Bf16* weight, float eps, const Bf16* a, int64_t a_stride, int64_t rank, Bf16* y,
                  int64_t y_stride, float* inverse) {
  if (num_rows == 0) return;
  if (size % kChunk != 0 || rank % 8 != 0 || added.rank % 8 != 0)
    refuse("add_rms_norm", "rows of this length, or a rank that is no multiple of 8");
  const Args args{.num_rows = to_int(num_rows),
                  .size = to_int(size),
                  .x = x,
                  .added = added,
                  .sum = sum,
                  .weight = weight,
                  .eps = eps,
                  .a = a,
                  .a_stride = to_int(a_stride),
                  .b_stride = to_int(added.b_stride),
                  .rank = to_int(rank),
                  .one_by_size = 1.0f / static_cast<float>(size),
                  .y = y,
                  .y_stride = y_stride,
                  .inverse = inverse};
  // By what is the same however layers are cut: with added or without, a row has the same bits.
  const bool is_large = added.rank > kTile || size > kInRegisters;
  if (rank == 0) return is_large ? launch<8, 16, true>(stream, args) : launch<8, 16, false>(stream, args);
  if (is_large) return launch<16, 16, true>(stream, args);
  // Small blocks where all find a place at once.
  const bool all_at_once = static_cast<int>(blocks_for(num_rows, kRows) * blocks_for(rank, 8)) <= num_processors();
  return all_at_once ? launch<16, 8, false>(stream, args) : launch<16, 16, false>(stream, args);
}

}  // namespace noregret::kernels::cuda
