#include <cooperative_groups.h>

#include <climits>
#include <cmath>

#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kNumWarps = kThreads / kWarp;
constexpr int kClusterSize = 8;  // blocks of a row, each with a run of its tiles
constexpr int kTile = 256;       // weights e^(z - max) are summed in tiles of this many, and tiles in groups of a warp

struct Shared {
  float per_warp[kNumWarps];
  float max, spread;       // of the block's tiles: the largest logit; the sum of e^(z - max) (z - max)
  int is_finite, arg_max;  // arg_max: the lowest id of the row's largest logit, if it is in the block
};

// A row's softmax, known to the first block of its cluster alone.
struct Normalizer {
  float max;     // of z
  float total;   // sum of e^(z - max)
  float spread;  // sum of e^(z - max) (z - max)
  int arg_max;
  bool is_finite;
};

// Inclusive sums of a group of tiles over the lanes.
__device__ float group_scan(const float* tiles, int num_tiles, int group) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, tile = group * kWarp + lane;
  float sum = tile < num_tiles ? tiles[tile] : 0.0f;
#pragma unroll
  for (int step = 1; step < kWarp; step *= 2) {
    const float below = __shfl_up_sync(0xffffffffU, sum, step);
    if (lane >= step) sum += below;
  }
  return sum;
}

// The sums of all tiles, by one warp.
__device__ float sum_tiles(const float* tiles, int num_tiles) {
  float total = 0.0f;
  for (int group = 0; group * kWarp < num_tiles; ++group)
    total += __shfl_sync(0xffffffffU, group_scan(tiles, num_tiles, group), kWarp - 1);
  return total;
}

// The same for scoring and sampling. `tiles` [all of the row's] are the sums of its tiles in the first block.
__device__ Normalizer normalize(const float* logits, int vocab_size, float inverse_temperature, float* tiles,
                                Shared& shared) {
  const cooperative_groups::cluster_group cluster = cooperative_groups::this_cluster();
  const auto block = static_cast<int>(cluster.block_rank());
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int num_tiles = (vocab_size + kTile - 1) / kTile, per_block = (num_tiles + kClusterSize - 1) / kClusterSize;
  const int first_tile = block * per_block, end_tile = min(first_tile + per_block, num_tiles);
  const int end = min(end_tile * kTile, vocab_size);
  float max = -INFINITY;
  bool is_finite = true;
  for (int i = first_tile * kTile + static_cast<int>(threadIdx.x); i < end; i += kThreads) {
    const float z = logits[i];
    is_finite &= isfinite(z);
    max = fmaxf(max, z);
  }
  max = warp_max(max);
  if (lane == 0) shared.per_warp[warp] = max;
  is_finite = __syncthreads_and(is_finite);
  if (threadIdx.x == 0) {
    for (int w = 1; w < kNumWarps; ++w) max = fmaxf(max, shared.per_warp[w]);
    shared.max = max;
    shared.is_finite = is_finite;
    shared.arg_max = INT_MAX;
  }
  cluster.sync();
  for (int other = 0; other < kClusterSize; ++other) {
    const Shared& its = *cluster.map_shared_rank(&shared, other);
    max = other == 0 ? its.max : fmaxf(max, its.max);
    is_finite = other == 0 ? its.is_finite != 0 : is_finite && its.is_finite != 0;
  }
  const float largest = max;
  max *= inverse_temperature;
  float spread = 0.0f;
  for (int tile = first_tile + warp; tile < end_tile; tile += kNumWarps) {
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < kTile / kWarp; ++k) {
      const int i = tile * kTile + k * kWarp + lane;
      if (i >= vocab_size) continue;
      const float logit = logits[i];
      if (logit == largest) atomicMin(&shared.arg_max, i);
      const float z = fmaf(logit, inverse_temperature, -max);
      const float weight = __expf(z);
      sum += weight;
      spread = fmaf(weight, z, spread);
    }
    sum = warp_sum(sum);
    if (lane == 0) cluster.map_shared_rank(tiles, 0)[tile] = sum;
  }
  spread = block_sum(spread, shared.per_warp);
  if (threadIdx.x == 0) shared.spread = spread;
  cluster.sync();
  Normalizer n{max, 0.0f, 0.0f, INT_MAX, is_finite};
  if (block == 0) {
    for (int other = 0; other < kClusterSize; ++other) {
      const Shared& its = *cluster.map_shared_rank(&shared, other);
      n.spread += its.spread;
      n.arg_max = min(n.arg_max, its.arg_max);
    }
    if (warp == 0) n.total = sum_tiles(tiles, num_tiles);
  }
  cluster.sync();  // nobody leaves whose memory is read
  return n;
}

__device__ float log_probability(const float* logits, int64_t target, float inverse_temperature, const Normalizer& n) {
  return fmaf(logits[target], inverse_temperature, -n.max) - logf(n.total);
}

__global__ void __cluster_dims__(kClusterSize, 1, 1) __launch_bounds__(kThreads)
    token_scores_kernel(int vocab_size, const float* logits, const int64_t* targets, float inverse_temperature,
                        float* logprobs, float* entropy, float* lse) {
  auto* tiles = dynamic_shared<float>();
  __shared__ Shared shared;
  const int64_t row = blockIdx.y;
  const float* z = logits + row * vocab_size;
  const Normalizer n = normalize(z, vocab_size, inverse_temperature, tiles, shared);
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  const float log_total = logf(n.total);
  lse[row] = n.max + log_total;
  if (logprobs != nullptr) {
    const int64_t target = targets[row];
    const bool is_id = target >= 0 && target < vocab_size;
    logprobs[row] = is_id ? log_probability(z, target, inverse_temperature, n) : NAN;
  }
  if (entropy != nullptr) entropy[row] = log_total - n.spread / n.total;
}

// kWidth neighbours a thread.
template <int kWidth>
__global__ void token_gradients_kernel(int vocab_size, const float* logits, const int64_t* targets,
                                       float inverse_temperature, const float* coefficients, const float* lse,
                                       Bf16* grad, int64_t grad_stride) {
  const int64_t row = blockIdx.x;
  const int first = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * kWidth;
  if (first >= vocab_size) return;
  float z[kWidth];
  const float* from = logits + row * vocab_size + first;
  if constexpr (kWidth == 4) {
    *reinterpret_cast<float4*>(z) = __ldcs(reinterpret_cast<const float4*>(from));
  } else {
    z[0] = *from;
  }
  Bf16 result[kWidth];
  const float scale = coefficients[row] * inverse_temperature, log_total = lse[row];
  const auto target = static_cast<int>(targets[row]);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    const float p = __expf(fmaf(z[k], inverse_temperature, -log_total));
    result[k] = to_bf16(scale * ((first + k == target ? 1.0f : 0.0f) - p));
  }
  Bf16* to = grad + row * grad_stride + first;
  if constexpr (kWidth == 4) {
    *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(result);
  } else {
    *to = result[0];
  }
}

// By one warp: the first id whose cumulative weight exceeds uniform * total.
__device__ int pick(const float* logits, int vocab_size, float inverse_temperature, const Normalizer& n,
                    const float* tiles, float uniform) {
  const int lane = static_cast<int>(threadIdx.x);
  const int num_tiles = (vocab_size + kTile - 1) / kTile;
  // Below the total also after rounding, so that there is such an id.
  const float limit = fminf(uniform * n.total, __uint_as_float(__float_as_uint(n.total) - 1));
  float before = 0.0f;
  int tile = num_tiles - 1;
  for (int group = 0; group * kWarp < num_tiles; ++group) {
    const float sum = group_scan(tiles, num_tiles, group);
    const unsigned beyond = __ballot_sync(0xffffffffU, before + sum > limit);
    if (beyond == 0) {
      before += __shfl_sync(0xffffffffU, sum, kWarp - 1);
      continue;
    }
    const int which = __ffs(static_cast<int>(beyond)) - 1;
    const float below = __shfl_sync(0xffffffffU, sum, max(which - 1, 0));
    if (which > 0) before += below;
    tile = group * kWarp + which;
    break;
  }
  int last = tile * kTile;  // rounding may leave no id; the tile's last with weight is it then
  for (int k = 0; k < kTile / kWarp; ++k) {
    const int i = tile * kTile + k * kWarp + lane;
    const float weight = i < vocab_size ? __expf(fmaf(logits[i], inverse_temperature, -n.max)) : 0.0f;
    float sum = weight;  // inclusive over lanes
#pragma unroll
    for (int step = 1; step < kWarp; step *= 2) {
      const float below = __shfl_up_sync(0xffffffffU, sum, step);
      if (lane >= step) sum += below;
    }
    const unsigned hits = __ballot_sync(0xffffffffU, weight > 0.0f && before + sum > limit);
    if (hits != 0) return tile * kTile + k * kWarp + __ffs(static_cast<int>(hits)) - 1;
    const unsigned some = __ballot_sync(0xffffffffU, weight > 0.0f);
    if (some != 0) last = tile * kTile + k * kWarp + kWarp - 1 - __clz(static_cast<int>(some));
    before += __shfl_sync(0xffffffffU, sum, kWarp - 1);
  }
  return last;
}

__global__ void __cluster_dims__(kClusterSize, 1, 1) __launch_bounds__(kThreads)
    sample_kernel(int vocab_size, const float* logits, float inverse_temperature, bool is_greedy, const float* uniforms,
                  int64_t* tokens, float* logprobs) {
  auto* tiles = dynamic_shared<float>();
  __shared__ Shared shared;
  wait_for_inputs();
  const int64_t row = blockIdx.y;
  const float* z = logits + row * vocab_size;
  const Normalizer n = normalize(z, vocab_size, inverse_temperature, tiles, shared);
  if (blockIdx.x != 0 || threadIdx.x >= kWarp) return;
  int token = -1;
  if (n.is_finite) token = is_greedy ? n.arg_max : pick(z, vocab_size, inverse_temperature, n, tiles, uniforms[row]);
  if (threadIdx.x != 0) return;
  tokens[row] = token;
  logprobs[row] = n.is_finite ? log_probability(z, token, inverse_temperature, n) : NAN;
}

Blocks clusters(int64_t num_rows, int64_t vocab_size) {
  const auto num_tiles = static_cast<size_t>((vocab_size + kTile - 1) / kTile);
  return {dim3(kClusterSize, static_cast<unsigned>(num_rows)), kThreads, num_tiles * sizeof(float), kClusterSize};
}

}  // namespace

void token_scores(Stream stream, int64_t num_rows, int64_t vocab_size, const float* logits, const int64_t* targets,
                  float temperature, float* logprobs, float* entropy, float* lse) {
  if (num_rows == 0) return;
  launch("token_scores", token_scores_kernel, clusters(num_rows, vocab_size), stream, to_int(vocab_size), logits,
         targets, 1.0f / temperature, logprobs, entropy, lse);
}

void token_gradients(Stream stream, int64_t num_rows, int64_t vocab_size, const float* logits, const int64_t* targets,
                     float temperature, const float* coefficients, const float* lse, Bf16* grad, int64_t grad_stride) {
  if (num_rows == 0) return;
  const int width = vocab_size % 4 == 0 && grad_stride % 4 == 0 ? 4 : 1;
  const dim3 grid(static_cast<unsigned>(num_rows), blocks_for(vocab_size, 256 * width));
  const auto kernel = width == 4 ? token_gradients_kernel<4> : token_gradients_kernel<1>;
  launch("token_gradients", kernel, {grid, 256}, stream, to_int(vocab_size), logits, targets, 1.0f / temperature,
         coefficients, lse, grad, grad_stride);
}

void sample(Stream stream, int64_t num_rows, int64_t vocab_size, const float* logits, float temperature,
            const float* uniforms, int64_t* tokens, float* logprobs) {
  if (num_rows == 0) return;
  const bool is_greedy = temperature == 0.0f;
  launch_early("sample", sample_kernel, clusters(num_rows, vocab_size), stream, to_int(vocab_size), logits,
               is_greedy ? 1.0f : 1.0f / temperature, is_greedy, uniforms, tokens, logprobs);
}

}  // namespace noregret::kernels::cuda
