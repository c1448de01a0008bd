#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tensor_core.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kRows = 8;      // of a block: the columns of a tile of a product
constexpr int kRowWarps = 2;  // of a row
constexpr int kNumWarps = kRows * kRowWarps;
constexpr int kThreads = kNumWarps * kWarp;
constexpr int kRowStep = kRowWarps * kWarp * 8;  // elements of a row that its warps take at a time
constexpr int kTile = 16;                        // elements of a row, or ranks: the rows of a tile
constexpr int kChunk = 32;                       // elements of a row that a warp multiplies with a at a time
constexpr int kPad = 8;                          // keeps rows in shared memory on banks of their own
// Tiles of b, chunks of a and vectors of a row that are read before they are needed: all, where a row has 1,536
// elements.
constexpr int kAheadB = 12 / kRowWarps, kAheadA = 6 / kRowWarps, kAheadRow = 6 / kRowWarps;

struct Args {
  int num_rows, size;
  const Bf16* x;
  LowRankSum added;
  Bf16* sum;
  const Bf16* weight;
  float eps;
  const Bf16* a;
  int64_t a_stride;
  int rank;
  Bf16* y;
  int64_t y_stride;
  float* inverse;
};

// Rows g and g + 8 of a tile of b, and its ranks 4 j .. 4 j + 3: an operand of multiply_tile() whose places along the
// rank are dealt to lanes four by four, as those of z are.
struct TileOfB {
  uint2 low, high;
};
__device__ TileOfB tile_of_b(const LowRankSum& added, int first_out, int first_rank, int g, int j) {
  if (first_rank + 4 * j >= added.rank) return {};
  const Bf16* at = added.b + (first_out + g) * added.b_stride + first_rank + 4 * j;
  return {*reinterpret_cast<const uint2*>(at), *reinterpret_cast<const uint2*>(at + 8 * added.b_stride)};
}
__device__ void multiply(float (&sums)[4], const TileOfB& b, const uint2& z) {
  multiply_tile(sums, {b.low.x, b.high.x, b.low.y, b.high.y}, z.x, z.y);
}

// Rows g and g + 8 of a tile of a and eight elements of each, for two products.
struct ChunkOfA {
  uint4 low, high;
};
__device__ ChunkOfA chunk_of_a(const Args& args, int first_rank, int k, int g) {
  const auto row = [&](int r) {
    return r < args.rank ? *reinterpret_cast<const uint4*>(args.a + r * args.a_stride + k) : uint4{};
  };
  return {row(first_rank + g), row(first_rank + g + 8)};
}

__device__ uint4 sum_of(const uint4& x, const uint4& y, const uint4& delta) {
  Vector8 sum = unpack(x);
  const Vector8 of_y = unpack(y), of_delta = unpack(delta);
#pragma unroll
  for (int k = 0; k < 8; ++k) sum.value[k] += of_y.value[k] + of_delta.value[k];
  return pack(sum);
}

// Block (8 rows, 16 ranks of a): all blocks of the rows work out sum and norm, the first writes them. What earlier
// kernels do not touch, weights, is read before they have ended.
__global__ void __launch_bounds__(kThreads) add_rms_norm_kernel(Args args) {
  extern __shared__ uint4 memory[];
  __shared__ float parts[kNumWarps][kTile][kRows];  // of every warp: products with a
  __shared__ float squares_of[kNumWarps];
  const int stride = args.size + kPad;
  auto* rows = reinterpret_cast<Bf16*>(memory);  // [kRows, stride]: z b^T, then the sum, then the norm
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, j = lane % 4;
  const int first_row = static_cast<int>(blockIdx.x) * kRows, first_rank = static_cast<int>(blockIdx.y) * kTile;
  const int num_tiles = args.added.rank > 0 ? args.size / kTile : 0;
  const int num_chunks = first_rank < args.rank ? args.size / kChunk : 0;

  TileOfB of_b[kAheadB];
#pragma unroll
  for (int t = 0; t < kAheadB; ++t) {
    if (t * kNumWarps + warp < num_tiles) of_b[t] = tile_of_b(args.added, (t * kNumWarps + warp) * kTile, 0, g, j);
  }
  ChunkOfA of_a[kAheadA];
#pragma unroll
  for (int c = 0; c < kAheadA; ++c) {
    if (c * kNumWarps + warp < num_chunks)
      of_a[c] = chunk_of_a(args, first_rank, (c * kNumWarps + warp) * kChunk + 8 * j, g);
  }
  const int own_row = warp / kRowWarps, first_k = (warp % kRowWarps * kWarp + lane) * 8;
  uint4 of_weight[kAheadRow];
#pragma unroll
  for (int i = 0; i < kAheadRow; ++i) {
    if (args.weight != nullptr && first_k + i * kRowStep < args.size)
      of_weight[i] = *reinterpret_cast<const uint4*>(args.weight + first_k + i * kRowStep);
  }
  wait_for_inputs();

  const bool is_first = blockIdx.y == 0 && first_row + own_row < args.num_rows;
  const int64_t row = min(first_row + own_row, args.num_rows - 1);
  const Bf16* x = args.x + row * args.size;
  const Bf16* y = args.added.y + row * args.added.y_stride;
  uint4 of_x[kAheadRow], of_y[kAheadRow];
#pragma unroll
  for (int i = 0; i < kAheadRow; ++i) {
    const int k = first_k + i * kRowStep;
    if (k >= args.size) continue;
    of_x[i] = *reinterpret_cast<const uint4*>(x + k);
    if (args.added.y != nullptr) of_y[i] = *reinterpret_cast<const uint4*>(y + k);
  }
  if (num_tiles > 0) {
    const Bf16* z = args.added.y + min(first_row + g, args.num_rows - 1) * args.added.y_stride + args.size + 4 * j;
    const auto ranks = [&](int first) {
      return first + 4 * j < args.added.rank ? *reinterpret_cast<const uint2*>(z + first) : uint2{};
    };
    const uint2 first_ranks = ranks(0);
    const auto expand = [&](int tile, const TileOfB& first) {
      float sums[4] = {};
      multiply(sums, first, first_ranks);
      for (int r = kTile; r < args.added.rank; r += kTile)
        multiply(sums, tile_of_b(args.added, tile * kTile, r, g, j), ranks(r));
      Bf16* to = rows + 2 * j * stride + tile * kTile + g;
      to[0] = to_bf16(sums[0]);
      to[stride] = to_bf16(sums[1]);
      to[8] = to_bf16(sums[2]);
      to[stride + 8] = to_bf16(sums[3]);
    };
#pragma unroll
    for (int t = 0; t < kAheadB; ++t) {
      if (t * kNumWarps + warp < num_tiles) expand(t * kNumWarps + warp, of_b[t]);
    }
    for (int tile = kAheadB * kNumWarps + warp; tile < num_tiles; tile += kNumWarps)
      expand(tile, tile_of_b(args.added, tile * kTile, 0, g, j));
    __syncthreads();
  }

  Bf16* own = rows + own_row * stride;
  float squares = 0.0f;
  const auto add = [&](int k, uint4 of_row, const uint4& of_product) {
    if (args.added.y != nullptr) {
      of_row = sum_of(of_row, of_product, num_tiles > 0 ? *reinterpret_cast<const uint4*>(own + k) : uint4{});
      if (is_first) *reinterpret_cast<uint4*>(args.sum + row * args.size + k) = of_row;
    }
    const Vector8 v = unpack(of_row);
    squares = dot(v, v, squares);
    return of_row;
  };
#pragma unroll
  for (int i = 0; i < kAheadRow; ++i) {
    if (first_k + i * kRowStep < args.size) of_x[i] = add(first_k + i * kRowStep, of_x[i], of_y[i]);
  }
  for (int k = first_k + kAheadRow * kRowStep; k < args.size; k += kRowStep) {
    *reinterpret_cast<uint4*>(own + k) =
        add(k, *reinterpret_cast<const uint4*>(x + k),
            args.added.y != nullptr ? *reinterpret_cast<const uint4*>(y + k) : uint4{});
  }
  if (args.weight == nullptr) return;
  squares = warp_sum(squares);
  if (kRowWarps > 1) {
    if (lane == 0) squares_of[warp] = squares;
    __syncthreads();
    squares = 0.0f;
#pragma unroll
    for (int w = 0; w < kRowWarps; ++w) squares += squares_of[own_row * kRowWarps + w];
  }
  const float inverse = rsqrtf(squares / static_cast<float>(args.size) + args.eps);
  if (args.inverse != nullptr && is_first && first_k == 0) args.inverse[row] = inverse;
  const auto norm = [&](int k, const uint4& of_row, const uint4& weight) {
    Vector8 v = unpack(of_row);
    const Vector8 w = unpack(weight);
#pragma unroll
    for (int i = 0; i < 8; ++i) v.value[i] = v.value[i] * inverse * w.value[i];
    const uint4 packed = pack(v);
    *reinterpret_cast<uint4*>(own + k) = packed;
    if (is_first) *reinterpret_cast<uint4*>(args.y + row * args.y_stride + k) = packed;
  };
#pragma unroll
  for (int i = 0; i < kAheadRow; ++i) {
    if (first_k + i * kRowStep < args.size) norm(first_k + i * kRowStep, of_x[i], of_weight[i]);
  }
  for (int k = first_k + kAheadRow * kRowStep; k < args.size; k += kRowStep)
    norm(k, *reinterpret_cast<const uint4*>(own + k), *reinterpret_cast<const uint4*>(args.weight + k));
  if (num_chunks == 0) return;
  __syncthreads();

  float sums[4] = {};
  const auto shrink = [&](int chunk, const ChunkOfA& a) {
    const uint4 v = *reinterpret_cast<const uint4*>(rows + g * stride + chunk * kChunk + 8 * j);
    multiply_tile(sums, {a.low.x, a.high.x, a.low.y, a.high.y}, v.x, v.y);
    multiply_tile(sums, {a.low.z, a.high.z, a.low.w, a.high.w}, v.z, v.w);
  };
#pragma unroll
  for (int c = 0; c < kAheadA; ++c) {
    if (c * kNumWarps + warp < num_chunks) shrink(c * kNumWarps + warp, of_a[c]);
  }
  for (int chunk = kAheadA * kNumWarps + warp; chunk < num_chunks; chunk += kNumWarps)
    shrink(chunk, chunk_of_a(args, first_rank, chunk * kChunk + 8 * j, g));
  *reinterpret_cast<float2*>(&parts[warp][g][2 * j]) = {sums[0], sums[1]};
  *reinterpret_cast<float2*>(&parts[warp][g + 8][2 * j]) = {sums[2], sums[3]};
  __syncthreads();
  const int rank = static_cast<int>(threadIdx.x) % kTile, column = static_cast<int>(threadIdx.x) / kTile;
  if (column >= kRows || first_row + column >= args.num_rows || first_rank + rank >= args.rank) return;
  float sum = 0.0f;
#pragma unroll
  for (int w = 0; w < kNumWarps; ++w) sum += parts[w][rank][column];
  args.y[(first_row + column) * args.y_stride + args.size + first_rank + rank] = to_bf16(sum);
}

}  // namespace

void add_rms_norm(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const LowRankSum& added, Bf16* sum,
                  const Bf16* weight, float eps, const Bf16* a, int64_t a_stride, int64_t rank, Bf16* y,
                  int64_t y_stride, float* inverse) {
  if (num_rows == 0) return;
  if (size % kChunk != 0 || size > kMaxAddedSize || rank % 8 != 0 || added.rank % 8 != 0)
    refuse("add_rms_norm", "rows of this length, or a rank that is no multiple of 8");
  const Args args{.num_rows = to_int(num_rows),
                  .size = to_int(size),
                  .x = x,
                  .added = added,
                  .sum = sum,
                  .weight = weight,
                  .eps = eps,
                  .a = a,
                  .a_stride = a_stride,
                  .rank = to_int(rank),
                  .y = y,
                  .y_stride = y_stride,
                  .inverse = inverse};
  const auto bytes = static_cast<size_t>(kRows * (size + kPad)) * sizeof(Bf16);
  allow_shared_bytes(add_rms_norm_kernel, bytes);
  const dim3 grid(blocks_for(num_rows, kRows), rank > 0 ? blocks_for(rank, kTile) : 1);
  launch_early("add_rms_norm", add_rms_norm_kernel, grid, kThreads, bytes, stream, args);
}

}  // namespace noregret::kernels::cuda
