#include <algorithm>

#include "kernels/cuda/device_math.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kNumWarps = kThreads / kWarp;

__global__ void __launch_bounds__(kThreads)
    rms_norm_kernel(int size, const Bf16* x, const Bf16* weight, float eps, Bf16* y, int64_t y_stride, float* inverse) {
  __shared__ float sums[kNumWarps];
  wait_for_inputs();
  const int64_t row = blockIdx.x;
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
    store8(y + row * y_stride + i, v);
  }
  if (inverse != nullptr && threadIdx.x == 0) inverse[row] = r;
}

// grad_x += r (g w - n mean(g w n)) with n = x r.
__global__ void __launch_bounds__(kThreads)
    rms_norm_backward_kernel(int size, const Bf16* x, const Bf16* weight, const float* inverse, const Bf16* grad_y,
                             int64_t grad_y_stride, Bf16* grad_x, int64_t grad_x_stride) {
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
    Vector8 out = load8(grad_x + row * grad_x_stride + i);
#pragma unroll
    for (int k = 0; k < 8; ++k) out.value[k] += r * (g.value[k] * w.value[k] - v.value[k] * r * mean);
    store8(grad_x + row * grad_x_stride + i, out);
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

// With s = sigmoid(g): d silu(g) / d g = s (1 + g (1 - s)).
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(int size, const Bf16* gate_up, const Bf16* grad_y, Bf16* grad_gate_up, int64_t grad_stride) {
  const int64_t row = blockIdx.x;
  const int i = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * 8;
  if (i >= size) return;
  const Bf16* gates = gate_up + row * 2 * size;
  Vector8 gate = load8(gates + i), up = load8(gates + size + i);
  const Vector8 grad = load8(grad_y + row * size + i);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const float g = gate.value[k];
    const float s = 1.0f / (1.0f + __expf(-g));
    gate.value[k] = grad.value[k] * up.value[k] * s * (1.0f + g * (1.0f - s));
    up.value[k] = grad.value[k] * g * s;
  }
  store8(grad_gate_up + row * grad_stride + i, gate);
  store8(grad_gate_up + row * grad_stride + size + i, up);
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
  for (int64_t i = first; i < entry.rank * entry.in; i += step)
    entry.a_rows[i / entry.in * entry.a_stride + i % entry.in] = to_bf16(entry.a[i]);
  for (int64_t i = first; i < entry.rank * entry.out; i += step) {
    const Bf16 value = to_bf16(entry.scaling * entry.b[i]);
    entry.b_columns[i / entry.rank * entry.b_stride + i % entry.rank] = value;
    entry.b_rows[i / entry.rank * entry.b_rows_stride + i % entry.rank] = value;
  }
}

}  // namespace

void rms_norm(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const Bf16* weight, float eps, Bf16* y,
              int64_t y_stride, float* inverse) {
  if (num_rows == 0) return;
  launch_early("rms_norm", rms_norm_kernel, {static_cast<unsigned>(num_rows), kThreads}, stream, to_int(size), x,
               weight, eps, y, y_stride, inverse);
}

void rms_norm_backward(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const Bf16* weight,
                       const float* inverse, const Bf16* grad_y, int64_t grad_y_stride, Bf16* grad_x,
                       int64_t grad_x_stride) {
  if (num_rows == 0) return;
  launch("rms_norm_backward", rms_norm_backward_kernel, {static_cast<unsigned>(num_rows), kThreads}, stream,
         to_int(size), x, weight, inverse, grad_y, grad_y_stride, grad_x, grad_x_stride);
}

void swiglu(Stream stream, int64_t num_rows, int64_t size, const Bf16* gate_up, Bf16* y, int64_t y_stride) {
  if (num_rows == 0) return;
  const dim3 grid(static_cast<unsigned>(num_rows), blocks_for(size, kThreads * 8));
  launch_early("swiglu", swiglu_kernel, {grid, kThreads}, stream, to_int(size), gate_up, y, y_stride);
}

void swiglu_backward(Stream stream, int64_t num_rows, int64_t size, const Bf16* gate_up, const Bf16* grad_y,
                     Bf16* grad_gate_up, int64_t grad_stride) {
  if (num_rows == 0) return;
  const dim3 grid(static_cast<unsigned>(num_rows), blocks_for(size, kThreads * 8));
  launch("swiglu_backward", swiglu_backward_kernel, {grid, kThreads}, stream, to_int(size), gate_up, grad_y,
         grad_gate_up, grad_stride);
}

void gather_tokens(Stream stream, int64_t num_rows, int64_t size, const int32_t* from, const int32_t* given,
                   const int64_t* previous, const Bf16* table, int64_t stride, Bf16* y) {
  if (num_rows == 0) return;
  launch_early("gather_tokens", gather_tokens_kernel, {static_cast<unsigned>(num_rows), 128}, stream, to_int(size),
               from, given, previous, table, stride, y);
}

void write_adapters(Stream stream, int64_t count, const AdapterColumns* entries) {
  for (int64_t begin = 0; begin < count; begin += kAdaptersPerLaunch) {
    AdapterTable table{};
    const int64_t some = std::min<int64_t>(kAdaptersPerLaunch, count - begin);
    std::copy_n(entries + begin, some, table.entries);
    launch("write_adapters", write_adapters_kernel, {dim3(32, static_cast<unsigned>(some)), kThreads}, stream, table);
  }
}

}  // namespace noregret::kernels::cuda
