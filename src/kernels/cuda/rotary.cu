#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pages.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/rotation.cuh"

namespace noregret::kernels::cuda {
namespace {

constexpr int kThreads = 256;

struct Args {
  int num_heads, num_kv_heads, head_dim;
  Bf16* qkv;
  const int32_t* positions;
  const float* table;
  PageTables tables;
  Bf16 *keys, *values;
};

__global__ void __launch_bounds__(kThreads) rotary_kernel(Args args) {
  wait_for_inputs();
  const int64_t row = blockIdx.x;
  const int dim = args.head_dim, half = dim / 2;
  const int position = args.positions[row];
  Bf16* heads = args.qkv + row * (args.num_heads + 2 * args.num_kv_heads) * dim;
  int64_t page = 0;
  if (args.keys != nullptr)
    page = args.tables.pages[args.tables.sequences[row] * args.tables.max_pages + position / kPage];
  const auto page_of = [&](Bf16* pages, int kv_head) {
    return pages + (page * args.num_kv_heads + kv_head) * dim * kPage;
  };

  // Pairs (i, i + half) and (i + 1, i + 1 + half) of a head.
  const int num_turned = (args.num_heads + args.num_kv_heads) * half / 2;
  for (int n = static_cast<int>(threadIdx.x); n < num_turned; n += kThreads) {
    const int head = n / (half / 2), i = n % (half / 2) * 2;
    Bf16* x = heads + head * dim;
    const float4 turn = *reinterpret_cast<const float4*>(args.table + (static_cast<int64_t>(position) * half + i) * 2);
    auto& low = *reinterpret_cast<uint32_t*>(x + i);
    auto& high = *reinterpret_cast<uint32_t*>(x + i + half);
    uint32_t new_low = low, new_high = high;
    turn_pairs(new_low, new_high, turn);
    low = new_low;
    high = new_high;
    if (args.keys == nullptr || head < args.num_heads) continue;
    Bf16* key = page_of(args.keys, head - args.num_heads);
    *reinterpret_cast<uint32_t*>(key + key_offset(position % kPage, i)) = new_low;
    *reinterpret_cast<uint32_t*>(key + key_offset(position % kPage, i + half)) = new_high;
  }
  if (args.values == nullptr) return;
  const Bf16* v = heads + (args.num_heads + args.num_kv_heads) * dim;
  for (int n = static_cast<int>(threadIdx.x); n < args.num_kv_heads * dim; n += kThreads)
    page_of(args.values, n / dim)[value_offset(position % kPage, n % dim)] = v[n];
}

struct BackwardArgs {
  int num_heads, num_kv_heads, head_dim;
  const Bf16 *grad_q, *grad_k, *grad_v;
  const int32_t* positions;
  const float* table;
  Bf16* grad_qkv;
  int64_t grad_stride;
};

__global__ void __launch_bounds__(kThreads) rotary_backward_kernel(BackwardArgs args) {
  const int64_t row = blockIdx.x;
  const int dim = args.head_dim, half = dim / 2, num_turned = args.num_heads + args.num_kv_heads;
  const int position = args.positions[row];
  Bf16* out = args.grad_qkv + row * args.grad_stride;
  for (int n = static_cast<int>(threadIdx.x); n < num_turned * half / 2; n += kThreads) {
    const int head = n / (half / 2), i = n % (half / 2) * 2;
    const Bf16* x = head < args.num_heads ? args.grad_q + (row * args.num_heads + head) * dim
                                          : args.grad_k + (row * args.num_kv_heads + head - args.num_heads) * dim;
    const float4 turn = *reinterpret_cast<const float4*>(args.table + (static_cast<int64_t>(position) * half + i) * 2);
    uint32_t low = *reinterpret_cast<const uint32_t*>(x + i), high = *reinterpret_cast<const uint32_t*>(x + i + half);
    turn_pairs(low, high, {turn.x, -turn.y, turn.z, -turn.w});
    Bf16* to = out + head * dim + i;
    *reinterpret_cast<uint32_t*>(to) = low;
    *reinterpret_cast<uint32_t*>(to + half) = high;
  }
  const int width = args.num_kv_heads * dim;
  for (int i = static_cast<int>(threadIdx.x) * 8; i < width; i += kThreads * 8)
    *reinterpret_cast<uint4*>(out + num_turned * dim + i) =
        *reinterpret_cast<const uint4*>(args.grad_v + row * width + i);
}

__global__ void __launch_bounds__(kThreads)
    copy_page_kernel(int64_t from, int64_t to, int64_t page_size, int64_t layer_stride, Bf16* keys, Bf16* values) {
  Bf16* layer = (blockIdx.y == 0 ? keys : values) + blockIdx.x * layer_stride;
  const auto* source = reinterpret_cast<const uint4*>(layer + from * page_size);
  auto* target = reinterpret_cast<uint4*>(layer + to * page_size);
  for (int i = static_cast<int>(threadIdx.x); i < page_size / 8; i += kThreads) target[i] = source[i];
}

}  // namespace

void rotary(Stream stream, int64_t num_rows, const KvShape& shape, Bf16* qkv, const int32_t* positions,
            const float* table, const PageTables& tables, Bf16* keys, Bf16* values) {
  if (num_rows == 0) return;
  const Args args{.num_heads = to_int(shape.num_heads),
                  .num_kv_heads = to_int(shape.num_kv_heads),
                  .head_dim = to_int(shape.head_dim),
                  .qkv = qkv,
                  .positions = positions,
                  .table = table,
                  .tables = tables,
                  .keys = keys,
                  .values = values};
  launch_early("rotary", rotary_kernel, {static_cast<unsigned>(num_rows), kThreads}, stream, args);
}

void rotary_backward(Stream stream, int64_t num_rows, const KvShape& shape, const Bf16* grad_q, const Bf16* grad_k,
                     const Bf16* grad_v, const int32_t* positions, const float* table, Bf16* grad_qkv,
                     int64_t grad_stride) {
  if (num_rows == 0) return;
  const BackwardArgs args{.num_heads = to_int(shape.num_heads),
                          .num_kv_heads = to_int(shape.num_kv_heads),
                          .head_dim = to_int(shape.head_dim),
                          .grad_q = grad_q,
                          .grad_k = grad_k,
                          .grad_v = grad_v,
                          .positions = positions,
                          .table = table,
                          .grad_qkv = grad_qkv,
                          .grad_stride = grad_stride};
  launch("rotary_backward", rotary_backward_kernel, {static_cast<unsigned>(num_rows), kThreads}, stream, args);
}

void copy_page(Stream stream, int64_t from, int64_t to, const KvShape& shape, int64_t num_layers, int64_t layer_stride,
               Bf16* keys, Bf16* values) {
  launch("copy_page", copy_page_kernel, {dim3(static_cast<unsigned>(num_layers), 2), kThreads}, stream, from, to,
         shape.page_size(), layer_stride, keys, values);
}

}  // namespace noregret::kernels::cuda
