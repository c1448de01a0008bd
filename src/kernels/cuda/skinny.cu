#include <algorithm>

#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kNumWarps = kThreads / kWarp;
constexpr int kChunk = kWarp * 8;  // elements that a warp takes of a row at a time
constexpr int kMaxBlocksPerSm = 8, kMinBlocksPerSm = 3;
constexpr int kMaxItems = 32;   // of a block whose warps share rows
constexpr int kLongRow = 4096;  // from which on the warps of a block share a row

enum class Result { kProduct, kSwiglu };

struct Args {
  int num_rows, in, out;
  const Bf16* x;
  int64_t x_stride;
  const Bf16* w;
  int64_t w_stride;
  Bf16* y;
  int64_t y_stride;
};

template <int kRows, int kOuts, Result kResult>
__device__ void write_result(const Args& args, int item, const float (&sums)[kRows][kOuts]) {
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    if (row >= args.num_rows) return;
    if constexpr (kResult == Result::kSwiglu) {
      args.y[row * args.y_stride + item] =
          to_bf16(silu(to_float(to_bf16(sums[row][0]))) * to_float(to_bf16(sums[row][1])));
    } else {
#pragma unroll
      for (int o = 0; o < kOuts; ++o) {
        if (item * kOuts + o < args.out) args.y[row * args.y_stride + item * kOuts + o] = to_bf16(sums[row][o]);
      }
    }
  }
}

// Elements k .. k + 7 of row `out` of an item, which are read once a step.
template <int kOuts, Result kResult>
__device__ uint4 load_weight(const Args& args, int item, int out, int k) {
  const int row = kResult == Result::kSwiglu ? item + out * args.out : min(item * kOuts + out, args.out - 1);
  return load_once(args.w + row * args.w_stride + k);
}

// What is left of rows of w after whole chunks, as a low-rank path leaves it. Lanes take eight elements each, of the
// rows of several items at a time, so that no load is for a few lanes alone.
struct Tail {
  int first_k = 0;
  int num_lanes = 0;  // of a row
  int num_items = 0;  // at a time; 0: there is none, or it is as well read as a chunk is
};
template <int kOuts>
Tail tail_of(int in) {
  const int num_lanes = in % kChunk / 8;
  if (in < kChunk || num_lanes == 0) return {};
  const int num_items = kWarp / num_lanes / kOuts;
  return num_items < 2 ? Tail{} : Tail{in - num_lanes * 8, num_lanes, num_items};
}

// 16-byte loads of each row of w that are in flight in a lane.
template <int kRows, int kOuts, bool kIsShared>
constexpr int kLoadsAhead = kRows > 1 || kIsShared ? 4
                            : kOuts == 1           ? 12
                                                   : 6;

// An item is kOuts rows of w (neighbours, or, for swiglu, one of the gate's and the same one of up's) times all rows of
// x. A warp, or, with kIsShared, the warps of a block together, take every so-many-th item; loads run ahead from one
// item into the next, and begin before x is there.
template <int kRows, int kOuts, Result kResult, bool kIsShared, bool kHasTail>
__global__ void __launch_bounds__(kThreads) skinny_kernel(Args args, Tail tail, int num_items) {
  __shared__ float shared[kIsShared ? kMaxItems : 1][kNumWarps][kRows * kOuts];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int first_item = kIsShared ? static_cast<int>(blockIdx.x) : static_cast<int>(blockIdx.x) * kNumWarps + warp;
  const int item_step = static_cast<int>(gridDim.x) * (kIsShared ? 1 : kNumWarps);
  const int first_k = (kIsShared ? warp * kChunk : 0) + lane * 8, k_step = kIsShared ? kNumWarps * kChunk : kChunk;
  const int end_k = kHasTail ? tail.first_k : args.in;
  const int chunks_per_item = (end_k + k_step - 1) / k_step;

  constexpr int kAhead = kLoadsAhead<kRows, kOuts, kIsShared>;
  uint4 weights[kAhead][kOuts];
  const auto load = [&](uint4(&to)[kOuts], int item, int chunk) {
    const int k = first_k + chunk * k_step;
    if (item >= num_items || k >= end_k) return;
#pragma unroll
    for (int o = 0; o < kOuts; ++o) to[o] = load_weight<kOuts, kResult>(args, item, o, k);
  };
  int load_item = first_item, load_chunk = 0;
  const auto load_next = [&](uint4(&to)[kOuts]) {
    load(to, load_item, load_chunk);
    if (++load_chunk == chunks_per_item) {
      load_chunk = 0;
      load_item += item_step;
    }
  };
#pragma unroll
  for (int u = 0; u < kAhead; ++u) load_next(weights[u]);
  const int tail_row = kHasTail ? lane / tail.num_lanes : 0;  // among those of tail.num_items
  const int tail_k = tail.first_k + (lane - tail_row * tail.num_lanes) * 8;
  const auto load_tails = [&](int first_item) {
    const int item = first_item + tail_row / kOuts * item_step;
    return item < num_items ? load_weight<kOuts, kResult>(args, item, tail_row % kOuts, tail_k) : uint4{};
  };
  uint4 tails = kHasTail ? load_tails(first_item) : uint4{};
  wait_for_inputs();

  float sums[kRows][kOuts] = {};
  float of_tails[kRows] = {};  // what this lane's part of a tail adds to the sums of its row of w
  const auto multiply_tails = [&] {
#pragma unroll
    for (int row = 0; row < kRows; ++row)
      of_tails[row] = dot(load8(args.x + min(row, args.num_rows - 1) * args.x_stride + tail_k), unpack(tails), 0.0f);
  };
  if (kHasTail) multiply_tails();
  int item = first_item, chunk = 0, num_done = 0, tail_item = 0;
  while (item < num_items) {
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      if (item >= num_items) break;
      const int k = first_k + chunk * k_step;
      if (k < end_k) {
        Vector8 factors[kOuts];
#pragma unroll
        for (int o = 0; o < kOuts; ++o) factors[o] = unpack(weights[u][o]);
#pragma unroll
        for (int row = 0; row < kRows; ++row) {
          const Vector8 v = load8(args.x + min(row, args.num_rows - 1) * args.x_stride + k);
#pragma unroll
          for (int o = 0; o < kOuts; ++o) sums[row][o] = dot(v, factors[o], sums[row][o]);
        }
      }
      load_next(weights[u]);
      if (++chunk < chunks_per_item) continue;
      chunk = 0;
      if constexpr (kHasTail) {
        if (tail_item == tail.num_items) {
          tail_item = 0;
          tails = load_tails(item);
          multiply_tails();
        }
#pragma unroll
        for (int i = 0; i < kRows * kOuts; ++i) {
          if (tail_row == tail_item * kOuts + i % kOuts) sums[i / kOuts][i % kOuts] += of_tails[i / kOuts];
        }
        ++tail_item;
      }
#pragma unroll
      for (int i = 0; i < kRows * kOuts; ++i) {
        float& sum = sums[i / kOuts][i % kOuts];
        sum = warp_sum(sum);
        if (kIsShared && lane == 0) shared[num_done][warp][i] = sum;
      }
      if (!kIsShared && lane == 0) write_result<kRows, kOuts, kResult>(args, item, sums);
#pragma unroll
      for (int i = 0; i < kRows * kOuts; ++i) sums[i / kOuts][i % kOuts] = 0.0f;
      ++num_done;
      item += item_step;
    }
  }
  if constexpr (kIsShared) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) >= num_done) return;
    float joined[kRows][kOuts];
#pragma unroll
    for (int i = 0; i < kRows * kOuts; ++i) {
      float sum = 0.0f;
#pragma unroll
      for (int w = 0; w < kNumWarps; ++w) sum += shared[threadIdx.x][w][i];
      joined[i / kOuts][i % kOuts] = sum;
    }
    write_result<kRows, kOuts, kResult>(args, first_item + static_cast<int>(threadIdx.x) * item_step, joined);
  }
}

// Of warps that take items in turn: so many that all have nearly as many.
int balanced_blocks(int num_items) {
  const int at_once = (num_items + kNumWarps - 1) / kNumWarps;
  if (at_once <= num_processors() * kMaxBlocksPerSm) return at_once;
  int best = 0;
  double least = 0.0;
  for (int per_processor = kMaxBlocksPerSm; per_processor >= kMinBlocksPerSm; --per_processor) {
    const int num_blocks = num_processors() * per_processor, num_warps = num_blocks * kNumWarps;
    const double turns = static_cast<double>((num_items + num_warps - 1) / num_warps) * num_warps;
    if (best > 0 && turns >= least) continue;
    best = num_blocks;
    least = turns;
  }
  return best;
}

template <int kRows, int kOuts, Result kResult>
void launch(const char* name, Stream stream, const Args& args) {
  const int num_items = kResult == Result::kSwiglu ? args.out : (args.out + kOuts - 1) / kOuts;
  const int most = 2 * kMaxBlocksPerSm * num_processors();
  const bool is_shared = args.in >= kLongRow && num_items <= most * kMaxItems;
  const Tail tail = is_shared ? Tail{} : tail_of<kOuts>(args.in);
  const int num_blocks = is_shared ? std::min(num_items, most) : balanced_blocks(num_items);
  launch_early(name,
               is_shared            ? skinny_kernel<kRows, kOuts, kResult, true, false>
               : tail.num_items > 0 ? skinny_kernel<kRows, kOuts, kResult, false, true>
                                    : skinny_kernel<kRows, kOuts, kResult, false, false>,
               {static_cast<unsigned>(num_blocks), kThreads}, stream, args, tail, num_items);
}

template <Result kResult>
void launch_for(const char* name, Stream stream, const Args& args) {
  if (args.num_rows == 0) return;
  if (args.num_rows > kMaxSkinnyRows || args.in % 8 != 0) refuse(name, "so many rows, or rows of this length");
  constexpr int kOneRowOuts = kResult == Result::kSwiglu ? 2 : 1;
  if (args.num_rows == 1) {
    launch<1, kOneRowOuts, kResult>(name, stream, args);
  } else if (args.num_rows == 2) {
    launch<2, 2, kResult>(name, stream, args);
  } else {
    launch<4, 2, kResult>(name, stream, args);
  }
}

}  // namespace

void multiply_skinny(Stream stream, int64_t num_rows, int64_t in, int64_t out, const Bf16* x, int64_t x_stride,
                     const Bf16* w, int64_t w_stride, Bf16* y) {
  const Args args{to_int(num_rows), to_int(in), to_int(out), x, x_stride, w, w_stride, y, out};
  launch_for<Result::kProduct>("multiply_skinny", stream, args);
}

void multiply_skinny_swiglu(Stream stream, int64_t num_rows, int64_t in, int64_t size, const Bf16* x, int64_t x_stride,
                            const Bf16* w, int64_t w_stride, Bf16* y, int64_t y_stride) {
  const Args args{to_int(num_rows), to_int(in), to_int(size), x, x_stride, w, w_stride, y, y_stride};
  launch_for<Result::kSwiglu>("multiply_skinny_swiglu", stream, args);
}

}  // namespace noregret::kernels::cuda
