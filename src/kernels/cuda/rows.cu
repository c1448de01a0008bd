#include <cooperative_groups.h>

#include <algorithm>

#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/launch.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kNumWarps = kThreads / kWarp;
constexpr int kClusterSize = 8;

// Dot products of rows of a with a row in shared memory, one a warp, whose first elements of a are read ahead.
template <int kAhead>
struct RowOfA {
  __device__ void read(const Bf16* from, int size) {
    a = from;
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int k = (i * kWarp + static_cast<int>(threadIdx.x) % kWarp) * 8;
      if (k < size) ahead[i] = *reinterpret_cast<const uint4*>(a + k);
    }
  }
  __device__ float product(const Bf16* row, int size) const {
    float sum = 0.0f;
    int k = static_cast<int>(threadIdx.x) % kWarp * 8;
#pragma unroll
    for (int i = 0; i < kAhead; ++i, k += kWarp * 8) {
      if (k < size) sum = dot(load8(row + k), unpack(ahead[i]), sum);
    }
    for (; k < size; k += kWarp * 8) sum = dot(load8(row + k), load8(a + k), sum);
    return warp_sum(sum);
  }
  const Bf16* a;
  uint4 ahead[kAhead];
};

// Block (row, part): all parts work out the row, part 0 writes it, and each writes kNumWarps elements of the low-rank
// path.
__global__ void __launch_bounds__(kThreads)
    rms_norm_kernel(int size, const Bf16* x, const Bf16* weight, float eps, const Bf16* a, int rank, Bf16* y,
                    int64_t y_stride, float* inverse) {
  extern __shared__ uint4 memory[];
  __shared__ float sums[kNumWarps];
  auto* normed = reinterpret_cast<Bf16*>(memory);
  const int64_t row = blockIdx.x;
  const int own_rank = static_cast<int>(blockIdx.y) * kNumWarps + static_cast<int>(threadIdx.x) / kWarp;
  RowOfA<6> row_of_a;
  if (own_rank < rank) row_of_a.read(a + static_cast<int64_t>(own_rank) * size, size);
  wait_for_inputs();
  const int first = static_cast<int>(threadIdx.x) * 8;
  const Vector8 own = first < size ? load8(x + row * size + first) : Vector8{};
  float sum = dot(own, own, 0.0f);
  for (int i = first + kThreads * 8; i < size; i += kThreads * 8) {
    const Vector8 v = load8(x + row * size + i);
    sum = dot(v, v, sum);
  }
  const float r = rsqrtf(block_sum(sum, sums) / static_cast<float>(size) + eps);
  for (int i = first; i < size; i += kThreads * 8) {
    Vector8 v = i == first ? own : load8(x + row * size + i);
    const Vector8 w = load8(weight + i);
#pragma unroll
    for (int k = 0; k < 8; ++k) v.value[k] = v.value[k] * r * w.value[k];
    const uint4 packed = pack(v);
    if (rank > 0) *reinterpret_cast<uint4*>(normed + i) = packed;
    if (blockIdx.y == 0) *reinterpret_cast<uint4*>(y + row * y_stride + i) = packed;
  }
  if (inverse != nullptr && blockIdx.y == 0 && threadIdx.x == 0) inverse[row] = r;
  if (rank == 0) return;
  __syncthreads();
  if (own_rank >= rank) return;
  const float product = row_of_a.product(normed, size);
  if (threadIdx.x % kWarp == 0) y[row * y_stride + size + own_rank] = to_bf16(product);
}

// grad_x += r (g w - n mean(g w n)) with n = x r.
__global__ void __launch_bounds__(kThreads)
    rms_norm_backward_kernel(int size, const Bf16* x, const Bf16* weight, const float* inverse, const Bf16* grad_y,
                             int64_t grad_y_stride, Bf16* grad_x) {
  __shared__ float sums[kNumWarps];
  const int64_t row = blockIdx.x;
  const float r = inverse[row];
  float sum = 0.0f;
  for (int i = static_cast<int>(threadIdx.x) * 8; i < size; i += kThreads * 8) {
    const Vector8 v = load8(x + row * size + i), w = load8(weight + i), g = load8(grad_y + row * grad_y_stride + i);
#pragma unroll
    for (int k = 0; k < 8; ++k) sum = fmaf(g.value[k] * w.value[k], v.value[k] * r, sum);
  }
  const float mean = block_sum(sum, sums) / static_cast<float>(size);
  for (int i = static_cast<int>(threadIdx.x) * 8; i < size; i += kThreads * 8) {
    const Vector8 v = load8(x + row * size + i), w = load8(weight + i), g = load8(grad_y + row * grad_y_stride + i);
    Vector8 out = load8(grad_x + row * size + i);
#pragma unroll
    for (int k = 0; k < 8; ++k) out.value[k] += r * (g.value[k] * w.value[k] - v.value[k] * r * mean);
    store8(grad_x + row * size + i, out);
  }
}

__device__ Vector8 activated8(const Bf16* gates, int size, int i) {
  Vector8 gate = load8(gates + i);
  const Vector8 up = load8(gates + size + i);
#pragma unroll
  for (int k = 0; k < 8; ++k) gate.value[k] = silu(gate.value[k]) * up.value[k];
  return gate;
}

__global__ void __launch_bounds__(kThreads) swiglu_kernel(int size, const Bf16* gate_up, Bf16* y, int64_t y_stride) {
  wait_for_inputs();
  const int64_t row = blockIdx.x;
  const int i = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * 8;
  if (i < size) store8(y + row * y_stride + i, activated8(gate_up + row * 2 * size, size, i));
}

// The cluster of a row's blocks, each with a part of the row; the first joins their parts of the low-rank path, in
// order.
__global__ void __cluster_dims__(1, kClusterSize, 1) __launch_bounds__(kThreads)
    swiglu_shrink_kernel(int size, const Bf16* gate_up, const Bf16* a, int rank, Bf16* y, int64_t y_stride) {
  extern __shared__ uint4 memory[];
  const cooperative_groups::cluster_group cluster = cooperative_groups::this_cluster();
  const int part = (size / 8 + kClusterSize - 1) / kClusterSize * 8;
  const int first = min(static_cast<int>(blockIdx.y) * part, size), count = min(part, size - first);
  auto* activated = reinterpret_cast<Bf16*>(memory);            // [part]
  auto* products = reinterpret_cast<float*>(activated + part);  // [rank]
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  RowOfA<5> first_row, second_row;
  if (warp < rank) first_row.read(a + static_cast<int64_t>(warp) * size + first, count);
  if (warp + kNumWarps < rank) second_row.read(a + static_cast<int64_t>(warp + kNumWarps) * size + first, count);
  wait_for_inputs();
  const int64_t row = blockIdx.x;
  Bf16* out = y + row * y_stride;
  for (int i = static_cast<int>(threadIdx.x) * 8; i < count; i += kThreads * 8) {
    const uint4 packed = pack(activated8(gate_up + row * 2 * size, size, first + i));
    *reinterpret_cast<uint4*>(activated + i) = packed;
    *reinterpret_cast<uint4*>(out + first + i) = packed;
  }
  __syncthreads();
  const auto keep = [&](int r, float product) {
    if (threadIdx.x % kWarp == 0) products[r] = product;
  };
  if (warp < rank) keep(warp, first_row.product(activated, count));
  if (warp + kNumWarps < rank) keep(warp + kNumWarps, second_row.product(activated, count));
  for (int r = warp + 2 * kNumWarps; r < rank; r += kNumWarps) {
    first_row.read(a + static_cast<int64_t>(r) * size + first, count);
    keep(r, first_row.product(activated, count));
  }
  cluster.sync();
  if (blockIdx.y == 0) {
    for (int r = static_cast<int>(threadIdx.x); r < rank; r += kThreads) {
      float sum = 0.0f;
#pragma unroll
      for (int block = 0; block < kClusterSize; ++block) sum += cluster.map_shared_rank(products, block)[r];
      out[size + r] = to_bf16(sum);
    }
  }
  cluster.sync();  // nobody leaves whose memory is read
}

// With s = sigmoid(g): d silu(g) / d g = s (1 + g (1 - s)).
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(int size, Bf16* gate_up, const Bf16* grad_y, int64_t grad_y_stride) {
  const int64_t row = blockIdx.x;
  const int i = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * 8;
  if (i >= size) return;
  Bf16* gates = gate_up + row * 2 * size;
  Vector8 gate = load8(gates + i), up = load8(gates + size + i);
  const Vector8 grad = load8(grad_y + row * grad_y_stride + i);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const float g = gate.value[k];
    const float s = 1.0f / (1.0f + __expf(-g));
    gate.value[k] = grad.value[k] * up.value[k] * s * (1.0f + g * (1.0f - s));
    up.value[k] = grad.value[k] * g * s;
  }
  store8(gates + i, gate);
  store8(gates + size + i, up);
}

__global__ void gather_tokens_kernel(int size, const int32_t* from, const int32_t* given, const int64_t* previous,
                                     const Bf16* table, int64_t stride, Bf16* y) {
  wait_for_inputs();
  const int64_t row = blockIdx.x;
  const int64_t id = from[row] < 0 ? given[row] : previous[from[row]];
  const int64_t safe = id < 0 ? 0 : id;  // what follows a row that was not finite is not used
  for (int i = static_cast<int>(threadIdx.x) * 8; i < size; i += static_cast<int>(blockDim.x) * 8)
    *reinterpret_cast<uint4*>(y + row * size + i) = *reinterpret_cast<const uint4*>(table + safe * stride + i);
}

constexpr int kAdaptersPerLaunch = 8;
struct AdapterTable {
  AdapterColumns entries[kAdaptersPerLaunch];
};

__global__ void __launch_bounds__(kThreads) write_adapters_kernel(const __grid_constant__ AdapterTable table) {
  const AdapterColumns& entry = table.entries[blockIdx.y];
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = first; i < entry.rank * entry.in; i += step) entry.a_rows[i] = to_bf16(entry.a[i]);
  for (int64_t i = first; i < entry.rank * entry.out; i += step)
    entry.b_columns[i / entry.rank * entry.b_stride + i % entry.rank] = to_bf16(entry.scaling * entry.b[i]);
}

dim3 row_parts(int64_t num_rows, int64_t rank) {
  return {static_cast<unsigned>(num_rows), std::max(1U, blocks_for(rank, kNumWarps))};
}

}  // namespace

void rms_norm(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const Bf16* weight, float eps,
              const Bf16* a, int64_t rank, Bf16* y, int64_t y_stride, float* inverse) {
  if (num_rows == 0) return;
  const size_t bytes = rank > 0 ? static_cast<size_t>(size) * sizeof(Bf16) : 0;
  launch_early("rms_norm", rms_norm_kernel, row_parts(num_rows, rank), kThreads, bytes, stream, to_int(size), x, weight,
               eps, a, to_int(rank), y, y_stride, inverse);
}

void rms_norm_backward(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const Bf16* weight,
                       const float* inverse, const Bf16* grad_y, int64_t grad_y_stride, Bf16* grad_x) {
  if (num_rows == 0) return;
  rms_norm_backward_kernel<<<static_cast<unsigned>(num_rows), kThreads, 0, stream>>>(to_int(size), x, weight, inverse,
                                                                                     grad_y, grad_y_stride, grad_x);
  check_launch("rms_norm_backward");
}

void swiglu(Stream stream, int64_t num_rows, int64_t size, const Bf16* gate_up, const Bf16* a, int64_t rank, Bf16* y,
            int64_t y_stride) {
  if (num_rows == 0) return;
  if (rank == 0) {
    const dim3 grid(static_cast<unsigned>(num_rows), blocks_for(size, kThreads * 8));
    launch_early("swiglu", swiglu_kernel, grid, kThreads, 0, stream, to_int(size), gate_up, y, y_stride);
    return;
  }
  const auto bytes = static_cast<size_t>((size / 8 + kClusterSize - 1) / kClusterSize * 16 + rank * 4);
  launch_early("swiglu", swiglu_shrink_kernel, dim3(static_cast<unsigned>(num_rows), kClusterSize), kThreads, bytes,
               stream, to_int(size), gate_up, a, to_int(rank), y, y_stride);
}

void swiglu_backward(Stream stream, int64_t num_rows, int64_t size, Bf16* gate_up, const Bf16* grad_y,
                     int64_t grad_y_stride) {
  if (num_rows == 0) return;
  const dim3 grid(static_cast<unsigned>(num_rows), blocks_for(size, kThreads * 8));
  swiglu_backward_kernel<<<grid, kThreads, 0, stream>>>(to_int(size), gate_up, grad_y, grad_y_stride);
  check_launch("swiglu_backward");
}

void gather_tokens(Stream stream, int64_t num_rows, int64_t size, const int32_t* from, const int32_t* given,
                   const int64_t* previous, const Bf16* table, int64_t stride, Bf16* y) {
  if (num_rows == 0) return;
  launch_early("gather_tokens", gather_tokens_kernel, static_cast<unsigned>(num_rows), 128, 0, stream, to_int(size),
               from, given, previous, table, stride, y);
}

void write_adapters(Stream stream, int64_t count, const AdapterColumns* entries) {
  for (int64_t begin = 0; begin < count; begin += kAdaptersPerLaunch) {
    AdapterTable table{};
    const int64_t some = std::min<int64_t>(kAdaptersPerLaunch, count - begin);
    std::copy_n(entries + begin, some, table.entries);
    write_adapters_kernel<<<dim3(32, static_cast<unsigned>(some)), kThreads, 0, stream>>>(table);
    check_launch("write_adapters");
  }
}

}  // namespace noregret::kernels::cuda
