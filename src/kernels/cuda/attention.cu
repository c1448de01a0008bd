#include <cmath>

#include "kernels/attention_scratch.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pages.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/rotation.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kNumWarps = 8;
constexpr int kThreads = kNumWarps * kWarp;
constexpr int kMaxGroup = 8;  // query heads of a tile
constexpr int kSplitPages = static_cast<int>(kSplitKeys) / kPage;
constexpr int kWarpPages = kSplitPages / kNumWarps;  // of a split
constexpr float kLog2E = 1.4426950408889634f;

struct Args {
  int num_rows, num_heads, num_kv_heads, group, max_splits;
  const Bf16* qkv;
  const int32_t* positions;
  PageTables tables;
  const float* rotation;  // of attention_step() alone
  Bf16 *keys, *values;    // which it writes
  int* counters;          // [rows, kv_heads]: splits that are done
  float* partial;         // [rows, kv_heads, max_splits, group, head_dim + kPartTail]
  Bf16* y;
  int64_t y_stride;
  float* lse;
};

// Over the lanes that hold other keys of the same two queries.
template <class Join>
__device__ float over_keys(float value, Join join) {
#pragma unroll
  for (int step = 4; step < kWarp; step *= 2) value = join(value, __shfl_xor_sync(0xffffffffU, value, step));
  return value;
}

// What a warp has of a split: for each query the largest score (in units of log2), the sum of weights and of weighted
// values.
template <int kDim>
struct Shared {
  float sums[kNumWarps][kMaxGroup][kDim + 4];  // the 4 keeps lanes on banks of their own
  float max[kNumWarps][kMaxGroup];
  float total[kNumWarps][kMaxGroup];
  float factor[kNumWarps][kMaxGroup];  // of a warp's sums in those of all
  float all_total[kMaxGroup], all_max[kMaxGroup];
  bool is_last;
};

// The cosines and sines that queries are turned by: of elements 8 u + 2 j and the next, for lane (g, j).
template <int kDim>
struct Turns {
  __device__ void read(const Args& args, int position, int j) {
    const auto* from = reinterpret_cast<const float4*>(args.rotation + static_cast<int64_t>(position) * kDim) + j;
#pragma unroll
    for (int u = 0; u < kDim / 16; ++u) at[u] = from[4 * u];
  }
  float4 at[kDim / 16];
};

// The row's own key, turned, and value go to the last page.
template <int kDim>
__device__ void append(const Args& args, int row, int kv_head, int position, int page) {
  const int64_t width = (args.num_heads + 2 * args.num_kv_heads) * kDim;
  const Bf16* key = args.qkv + row * width + (args.num_heads + kv_head) * kDim;
  const Bf16* value = key + args.num_kv_heads * kDim;
  const int64_t to = (static_cast<int64_t>(page) * args.num_kv_heads + kv_head) * (kDim * kPage);
  const int i = static_cast<int>(threadIdx.x) * 2;
  if (i < kDim / 2) {
    uint32_t low = *reinterpret_cast<const uint32_t*>(key + i),
             high = *reinterpret_cast<const uint32_t*>(key + i + kDim / 2);
    turn_pairs(low, high,
               *reinterpret_cast<const float4*>(args.rotation + static_cast<int64_t>(position) * kDim + 2 * i));
    *reinterpret_cast<uint32_t*>(args.keys + to + key_offset(position % kPage, i)) = low;
    *reinterpret_cast<uint32_t*>(args.keys + to + key_offset(position % kPage, i + kDim / 2)) = high;
  }
  const int element = kThreads - 1 - static_cast<int>(threadIdx.x);  // by the threads that turn nothing first
  if (element < kDim) args.values[to + value_offset(position % kPage, element)] = value[element];
}

// Scores and weighted values of a warp's pages of the split. With kIsStep queries are turned here, and the row's own
// key and value are stored here, before the last page is read. Scores are keys times queries, so that the tile's 16
// rows are keys and its 8 columns the queries that share them; lane (g, j) = (lane / 4, lane % 4) holds keys g and g +
// 8 of queries 2 j and 2 j + 1.
template <int kDim, bool kIsStep>
__device__ void read_pages(const Args& args, int row, int kv_head, int first_page, int end_page, int length,
                           Shared<kDim>& shared) {
  constexpr int kTiles = kDim / 16;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, j = lane % 4;
  const int32_t* pages = args.tables.pages + args.tables.sequences[row] * args.tables.max_pages;
  int32_t ids[kWarpPages];
#pragma unroll
  for (int i = 0; i < kWarpPages; ++i) ids[i] = pages[min(first_page + warp + i * kNumWarps, end_page - 1)];
  uint4 keys[2][kTiles], values[2][kTiles];  // of the page at hand, and of the next
  const auto load = [&](int i) {
    const int64_t at = (static_cast<int64_t>(ids[i]) * args.num_kv_heads + kv_head) * (kDim * kPage);
    const auto* key = reinterpret_cast<const uint4*>(args.keys + at);
    const auto* value = reinterpret_cast<const uint4*>(args.values + at);
#pragma unroll
    for (int t = 0; t < kTiles; ++t) keys[i % 2][t] = key[t * kWarp + lane];
#pragma unroll
    for (int t = 0; t < kTiles; ++t) values[i % 2][t] = value[t * kWarp + lane];
  };
  const int last_page = (length - 1) / kPage;
  const bool is_early = kIsStep && first_page + warp < min(end_page, last_page);
  [[maybe_unused]] Turns<kDim> turns;
  if constexpr (kIsStep) {
    turns.read(args, length - 1, j);
    if (is_early) load(0);
    wait_for_inputs();
  }
  uint32_t queries[2 * kTiles] = {};
  if (g < args.group) {
    const int64_t width = (args.num_heads + 2 * args.num_kv_heads) * kDim;
    const Bf16* q = args.qkv + row * width + (kv_head * args.group + g) * kDim + 2 * j;
#pragma unroll
    for (int u = 0; u < 2 * kTiles; ++u) queries[u] = *reinterpret_cast<const uint32_t*>(q + 8 * u);
  }
  if constexpr (kIsStep) {
    if (last_page < end_page) {
      append<kDim>(args, row, kv_head, length - 1, pages[last_page]);
      __syncthreads();
    }
#pragma unroll
    for (int u = 0; u < kTiles; ++u) turn_pairs(queries[u], queries[u + kTiles], turns.at[u]);
  }
  const float scale = kLog2E * rsqrtf(static_cast<float>(kDim));
  float max[2] = {-INFINITY, -INFINITY}, total[2] = {};
  float sums[kTiles][4] = {};
  if (!is_early && first_page + warp < end_page) load(0);
#pragma unroll
  for (int i = 0; i < kWarpPages; ++i) {
    const int page = first_page + warp + i * kNumWarps;
    if (page >= end_page) break;
    if (i + 1 < kWarpPages && page + kNumWarps < end_page) load(i + 1);
    float score[4] = {};
#pragma unroll
    for (int t = 0; t < kTiles; ++t) multiply_tile(score, keys[i % 2][t], queries[2 * t], queries[2 * t + 1]);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const bool is_seen = page * kPage + g + (k / 2) * 8 < length;
      score[k] = is_seen ? score[k] * scale : -INFINITY;
    }
    float factor[2];
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      const float larger =
          fmaxf(max[q], over_keys(fmaxf(score[q], score[q + 2]), [](float a, float b) { return fmaxf(a, b); }));
      factor[q] = exp2f(max[q] - larger);
      max[q] = larger;
      score[q] = exp2f(score[q] - larger);
      score[q + 2] = exp2f(score[q + 2] - larger);
      total[q] = total[q] * factor[q] + (score[q] + score[q + 2]);
    }
    const uint32_t low = transpose8x8(pack2(score[0], score[1])), high = transpose8x8(pack2(score[2], score[3]));
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int k = 0; k < 4; ++k) sums[t][k] *= factor[k % 2];
      multiply_tile(sums[t], values[i % 2][t], low, high);
    }
  }
#pragma unroll
  for (int q = 0; q < 2; ++q) {
    const float all = over_keys(total[q], [](float a, float b) { return a + b; });
    if (g == 0) shared.max[warp][2 * j + q] = max[q];
    if (g == 0) shared.total[warp][2 * j + q] = all;
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      shared.sums[warp][2 * j + q][t * 16 + g] = sums[t][q];
      shared.sums[warp][2 * j + q][t * 16 + g + 8] = sums[t][q + 2];
    }
  }
}

__device__ float4 scaled_sum(const float4& sum, const float4& part, float factor) {
  return {fmaf(part.x, factor, sum.x), fmaf(part.y, factor, sum.y), fmaf(part.z, factor, sum.z),
          fmaf(part.w, factor, sum.w)};
}

// Parts of one softmax are joined in their order: sums and totals, each times 2^(its maximum - the largest).
template <int kDim>
__device__ void weigh_warps(Shared<kDim>& shared) {
  const int warp = static_cast<int>(threadIdx.x) / kMaxGroup, q = static_cast<int>(threadIdx.x) % kMaxGroup;
  if (warp >= kNumWarps) return;
  float max = shared.max[0][q];
#pragma unroll
  for (int w = 1; w < kNumWarps; ++w) max = fmaxf(max, shared.max[w][q]);
  shared.factor[warp][q] = exp2f(shared.max[warp][q] - max);
  if (warp > 0) return;
  float total = 0.0f;
#pragma unroll
  for (int w = 0; w < kNumWarps; ++w) total = fmaf(shared.total[w][q], exp2f(shared.max[w][q] - max), total);
  shared.all_total[q] = total;
  shared.all_max[q] = max;
}

// Four elements of a head's result.
__device__ void write_result(const Args& args, int row, int head, int dim, int element, const float4& sum, float total,
                             float max) {
  const float inverse = 1.0f / total;
  const uint2 packed = {pack2(sum.x * inverse, sum.y * inverse), pack2(sum.z * inverse, sum.w * inverse)};
  *reinterpret_cast<uint2*>(args.y + row * args.y_stride + head * dim + element) = packed;
  if (args.lse != nullptr && element == 0)
    args.lse[static_cast<int64_t>(head) * args.num_rows + row] = (max + log2f(total)) / kLog2E;
}

// The splits of a row, all of which are there.
template <int kDim>
__device__ void join_splits(const Args& args, int row, int kv_head, int num_splits, const float* parts) {
  constexpr int kPart = kDim + kPartTail;
  const int64_t part_size = static_cast<int64_t>(args.group) * kPart;
  for (int i = static_cast<int>(threadIdx.x) * 4; i < args.group * kDim; i += kThreads * 4) {
    const int q = i / kDim, element = i % kDim;
    const float* part = parts + q * kPart;
    float max = -INFINITY;
#pragma unroll 4
    for (int s = 0; s < num_splits; ++s) max = fmaxf(max, __ldcg(part + s * part_size + kDim + 1));
    float4 sum = {};
    float total = 0.0f;
#pragma unroll 4
    for (int s = 0; s < num_splits; ++s) {
      const float4 tail = __ldcg(reinterpret_cast<const float4*>(part + s * part_size + kDim));
      const float4 values = __ldcg(reinterpret_cast<const float4*>(part + s * part_size + element));
      const float factor = exp2f(tail.y - max);
      total = fmaf(tail.x, factor, total);
      sum = scaled_sum(sum, values, factor);
    }
    write_result(args, row, kv_head * args.group + q, kDim, element, sum, total, max);
  }
}

// Block (row, kv_head, split). The last block of a row to end joins the splits. What a step reads that is no kernel's
// work, positions, tables and the pages before, it reads before the kernel before has ended.
template <int kDim, bool kIsStep>
__global__ void __launch_bounds__(kThreads, 1) attention_kernel(Args args) {
  __shared__ Shared<kDim> shared;
  if (!kIsStep) wait_for_inputs();
  const int row = static_cast<int>(blockIdx.x), kv_head = static_cast<int>(blockIdx.y),
            split = static_cast<int>(blockIdx.z);
  const int length = args.positions[row] + 1;
  const int num_pages = (length + kPage - 1) / kPage;
  const int num_splits = (num_pages + kSplitPages - 1) / kSplitPages;
  if (split >= num_splits) return;
  read_pages<kDim, kIsStep>(args, row, kv_head, split * kSplitPages, min(num_pages, (split + 1) * kSplitPages), length,
                            shared);
  __syncthreads();
  weigh_warps(shared);
  __syncthreads();
  constexpr int kPart = kDim + kPartTail;
  const int64_t cell = static_cast<int64_t>(row) * args.num_kv_heads + kv_head;
  float* parts = args.partial + cell * args.max_splits * args.group * kPart;
  for (int i = static_cast<int>(threadIdx.x) * 4; i < args.group * kDim; i += kThreads * 4) {
    const int q = i / kDim, element = i % kDim;
    float4 sum = {};
#pragma unroll
    for (int warp = 0; warp < kNumWarps; ++warp)
      sum = scaled_sum(sum, *reinterpret_cast<const float4*>(&shared.sums[warp][q][element]), shared.factor[warp][q]);
    if (num_splits == 1) {
      write_result(args, row, kv_head * args.group + q, kDim, element, sum, shared.all_total[q], shared.all_max[q]);
      continue;
    }
    float* part = parts + (split * args.group + q) * kPart;
    *reinterpret_cast<float4*>(part + element) = sum;
    if (element == 0) *reinterpret_cast<float4*>(part + kDim) = {shared.all_total[q], shared.all_max[q], 0.0f, 0.0f};
  }
  if (num_splits == 1) return;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) shared.is_last = atomicAdd(args.counters + cell, 1) == num_splits - 1;
  __syncthreads();
  if (!shared.is_last) return;
  __threadfence();
  if (threadIdx.x == 0) args.counters[cell] = 0;
  join_splits<kDim>(args, row, kv_head, num_splits, parts);
}

// y and lse of one set of keys become those of two.
__global__ void join_attention_kernel(int num_rows, int num_heads, int head_dim, Bf16* y, float* lse, const Bf16* other,
                                      const float* other_lse) {
  const int64_t row = blockIdx.x;
  for (int i = static_cast<int>(threadIdx.x) * 8; i < num_heads * head_dim; i += static_cast<int>(blockDim.x) * 8) {
    const int64_t cell = static_cast<int64_t>(i / head_dim) * num_rows + row;
    const float a = lse[cell], b = other_lse[cell];
    if (!isfinite(b)) continue;
    const float max = fmaxf(a, b);
    const float of_a = expf(a - max), of_b = expf(b - max);
    const float total = of_a + of_b;
    const int64_t at = row * num_heads * head_dim + i;
    Vector8 mine = load8(y + at);
    const Vector8 its = load8(other + at);
#pragma unroll
    for (int k = 0; k < 8; ++k) mine.value[k] = (mine.value[k] * of_a + its.value[k] * of_b) / total;
    store8(y + at, mine);
  }
  __syncthreads();  // every thread has read the lse of its heads
  for (int head = static_cast<int>(threadIdx.x); head < num_heads; head += static_cast<int>(blockDim.x)) {
    const int64_t cell = static_cast<int64_t>(head) * num_rows + row;
    const float a = lse[cell], b = other_lse[cell];
    if (!isfinite(b)) continue;
    const float max = fmaxf(a, b);
    lse[cell] = max + logf(expf(a - max) + expf(b - max));
  }
}

template <int kDim, bool kIsStep>
void launch(Stream stream, const Args& args) {
  const dim3 grid(static_cast<unsigned>(args.num_rows), static_cast<unsigned>(args.num_kv_heads),
                  static_cast<unsigned>(args.max_splits));
  launch_early("attention", attention_kernel<kDim, kIsStep>, {grid, kThreads}, stream, args);
}

template <bool kIsStep>
void launch_for(int64_t head_dim, Stream stream, const Args& args) {
  switch (head_dim) {
    case 16:
      return launch<16, kIsStep>(stream, args);
    case 32:
      return launch<32, kIsStep>(stream, args);
    case 64:
      return launch<64, kIsStep>(stream, args);
    case 80:
      return launch<80, kIsStep>(stream, args);
    case 96:
      return launch<96, kIsStep>(stream, args);
    case 128:
      return launch<128, kIsStep>(stream, args);
    default:
      refuse("attention", "a head dimension other than 16, 32, 64, 80, 96 and 128");
  }
}

Args make_args(int64_t num_rows, const KvShape& shape, const Bf16* qkv, const int32_t* positions,
               const PageTables& tables, int64_t max_length, void* scratch, Bf16* y, int64_t y_stride) {
  if (shape.num_heads > kMaxGroup * shape.num_kv_heads) refuse("attention", "more than 8 heads a key");
  Args args{};
  args.num_rows = to_int(num_rows);
  args.num_heads = to_int(shape.num_heads);
  args.num_kv_heads = to_int(shape.num_kv_heads);
  args.group = to_int(shape.num_heads / shape.num_kv_heads);
  args.max_splits = to_int(attention_splits(max_length));
  args.qkv = qkv;
  args.positions = positions;
  args.tables = tables;
  args.counters = static_cast<int*>(scratch);
  args.partial = reinterpret_cast<float*>(static_cast<char*>(scratch) + attention_counter_bytes(num_rows, shape));
  args.y = y;
  args.y_stride = y_stride;
  return args;
}

}  // namespace

void attention(Stream stream, int64_t num_rows, const KvShape& shape, const Bf16* qkv, const int32_t* positions,
               const PageTables& tables, const Bf16* keys, const Bf16* values, int64_t max_length, void* scratch,
               Bf16* y, int64_t y_stride, float* lse) {
  if (num_rows == 0) return;
  Args args = make_args(num_rows, shape, qkv, positions, tables, max_length, scratch, y, y_stride);
  args.keys = const_cast<Bf16*>(keys);  // a step alone writes them
  args.values = const_cast<Bf16*>(values);
  args.lse = lse;
  launch_for<false>(shape.head_dim, stream, args);
}

void attention_step(Stream stream, int64_t num_rows, const KvShape& shape, const Bf16* qkv, const int32_t* positions,
                    const float* table, const PageTables& tables, Bf16* keys, Bf16* values, int64_t max_length,
                    void* scratch, Bf16* y, int64_t y_stride) {
  if (num_rows == 0) return;
  Args args = make_args(num_rows, shape, qkv, positions, tables, max_length, scratch, y, y_stride);
  args.rotation = table;
  args.keys = keys;
  args.values = values;
  launch_for<true>(shape.head_dim, stream, args);
}

void join_attention(Stream stream, int64_t num_rows, int64_t num_heads, int64_t head_dim, Bf16* y, float* lse,
                    const Bf16* other, const float* other_lse) {
  if (num_rows == 0) return;
  launch("join_attention", join_attention_kernel, {static_cast<unsigned>(num_rows), 128}, stream, to_int(num_rows),
         to_int(num_heads), to_int(head_dim), y, lse, other, other_lse);
}

}  // namespace noregret::kernels::cuda
