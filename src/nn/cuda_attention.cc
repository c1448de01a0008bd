#include "nn/cuda_attention.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <tuple>

#include "nn/cuda_linear.h"
#include "noregret/base/check.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

namespace {

struct Heads {
  Tensor q, k, v;  // [N, heads, head_dim], views of qkv
};

Heads heads_of(const Tensor& qkv, const HfConfig& config) {
  const int64_t h = config.num_heads, kv = config.num_kv_heads;
  const Tensor all = qkv.view({qkv.size(0), h + 2 * kv, config.head_dim});
  return {all.narrow(1, 0, h), all.narrow(1, h, kv), all.narrow(1, h + kv, kv)};
}

cuda::PageTables tables_of(const CudaPlan& plan) {
  if (!plan.tables.defined()) return {};
  return {plan.tables.const_data_ptr<int32_t>(), plan.tables.size(1), plan.sequences.const_data_ptr<int32_t>()};
}

struct Pages {
  cuda::Bf16 *keys, *values;
};
Pages pages_of(const CudaPlan& plan, int64_t layer) {
  if (plan.cache != nullptr) return {bf16_data(plan.cache->keys(layer)), bf16_data(plan.cache->values(layer))};
  if (plan.reads_pages) return {bf16_data(plan.keys), bf16_data(plan.values)};
  return {nullptr, nullptr};
}

void turn(const CudaPlan& plan, const cuda::KvShape& shape, const Tensor& qkv, int64_t first, int64_t end,
          const Pages& pages) {
  cuda::PageTables tables = tables_of(plan);
  if (tables.sequences != nullptr) tables.sequences += first;
  cuda::rotary(current_stream(qkv.device()), end - first, shape, bf16_data(qkv) + first * qkv.stride(0),
               plan.positions.const_data_ptr<int32_t>() + first,
               static_cast<const float*>(plan.rotation.const_data_ptr()), tables, pages.keys, pages.values);
}

// A page that a segment shares in part is copied when its first positions are there and before the segment adds its
// own.
void turn_and_append(const CudaPlan& plan, const cuda::KvShape& shape, const Tensor& qkv, const Pages& pages) {
  int64_t done = 0;
  for (const BatchPages::SharedPage& page : plan.shared) {
    const int64_t first = plan.first_rows[page.segment];
    turn(plan, shape, qkv, done, first, pages);
    done = first;
    cuda::copy_page(current_stream(qkv.device()), page.from, page.to, shape, 1, 0, pages.keys, pages.values);
  }
  turn(plan, shape, qkv, done, plan.num_rows, pages);
}

struct Packed {
  Tensor y, lse;
};
Packed flash(const Heads& heads, const Tensor& query_starts, const Tensor& key_starts, int64_t longest_query,
             int64_t longest_key, bool is_causal) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(heads.q.size(2)));
  const auto result =
      at::_flash_attention_forward(heads.q, heads.k, heads.v, query_starts, key_starts, longest_query, longest_key,
                                   /*dropout_p=*/0.0, is_causal, /*return_debug_mask=*/false, scale);
  return {std::get<0>(result), std::get<1>(result)};
}

// Keys and values of the prefixes' rows, run after run.
Heads prefix_heads(const Heads& heads, const CudaPlan::Prefixes& prefixes) {
  return {heads.q, heads.k.index_select(0, prefixes.rows), heads.v.index_select(0, prefixes.rows)};
}

}  // namespace

CudaAttention attention_on_cuda(const CudaPlan& plan, const HfConfig& config, int64_t layer, const Tensor& qkv) {
  const cuda::KvShape shape = cuda_kv_shape(config);
  CUstream_st* stream = current_stream(qkv.device());
  const Pages pages = pages_of(plan, layer);
  const int64_t width = config.num_heads * config.head_dim;
  if (plan.is_step) {
    const Tensor y = at::empty({plan.num_rows, width}, qkv.options());
    cuda::attention_step(stream, plan.num_rows, shape, bf16_data(qkv), plan.positions.const_data_ptr<int32_t>(),
                         static_cast<const float*>(plan.rotation.const_data_ptr()), tables_of(plan), pages.keys,
                         pages.values, plan.max_length, plan.scratch.mutable_data_ptr(), bf16_data(y), width);
    return {y, Tensor()};
  }
  turn_and_append(plan, shape, qkv, pages);
  if (plan.reads_pages) {
    CudaAttention result{at::empty({plan.num_rows, width}, qkv.options()), Tensor()};
    if (plan.cache == nullptr)
      result.lse = at::empty({config.num_heads, plan.num_rows}, qkv.options().dtype(at::kFloat));
    cuda::attention(stream, plan.num_rows, shape, bf16_data(qkv), plan.positions.const_data_ptr<int32_t>(),
                    tables_of(plan), pages.keys, pages.values, plan.max_length, plan.scratch.mutable_data_ptr(),
                    bf16_data(result.y), width, result.lse.defined() ? result.lse.mutable_data_ptr<float>() : nullptr);
    return result;
  }
  const Heads heads = heads_of(qkv, config);
  const Packed own = flash(heads, plan.starts, plan.starts, plan.longest, plan.longest, true);
  NOREGRET_CHECK(own.lse.dim() == 2 && own.lse.size(0) == config.num_heads && own.lse.size(1) == plan.num_rows,
                 "flash attention's log-sum-exp is ", shape_text(own.lse.sizes()));
  const CudaPlan::Prefixes& prefixes = plan.prefixes;
  if (prefixes.rows.defined()) {
    const Packed shared = flash(prefix_heads(heads, prefixes), prefixes.query_starts, prefixes.key_starts,
                                prefixes.longest_query, prefixes.longest_key, false);
    cuda::join_attention(stream, plan.num_rows, config.num_heads, config.head_dim, bf16_data(own.y),
                         own.lse.mutable_data_ptr<float>(), bf16_data(shared.y), shared.lse.const_data_ptr<float>());
  }
  return {own.y.view({plan.num_rows, width}), own.lse};
}

// With the log-sum-exp and output over all keys, each set of keys has the gradients that it has as a part of them.
void attention_backward_on_cuda(const CudaPlan& plan, const HfConfig& config, const Tensor& qkv,
                                const CudaAttention& attended, const Tensor& grad_y, const Tensor& grad_qkv) {
  const Heads heads = heads_of(qkv, config);
  const double scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  const at::IntArrayRef sizes = heads.q.sizes();
  const Tensor y = attended.y.reshape(sizes), grad = grad_y.reshape(sizes);
  const Tensor no_random = at::empty({2}, qkv.options().dtype(at::kUInt64)),
               unused = at::empty({0}, qkv.options().dtype(at::kUInt64));
  const auto backward = [&](const Heads& part, const Tensor& query_starts, const Tensor& key_starts,
                            int64_t longest_query, int64_t longest_key, bool is_causal) {
    return at::_flash_attention_backward(grad, part.q, part.k, part.v, y, attended.lse, query_starts, key_starts,
                                         longest_query, longest_key, /*dropout_p=*/0.0, is_causal, no_random, unused,
                                         scale);
  };
  auto [grad_q, grad_k, grad_v] = backward(heads, plan.starts, plan.starts, plan.longest, plan.longest, true);
  const CudaPlan::Prefixes& prefixes = plan.prefixes;
  if (prefixes.rows.defined()) {
    const auto [more_q, more_k, more_v] =
        backward(prefix_heads(heads, prefixes), prefixes.query_starts, prefixes.key_starts, prefixes.longest_query,
                 prefixes.longest_key, false);
    grad_q.add_(more_q);
    // Several runs may name one prefix, so rows are summed one by one.
    grad_k.index_add_(0, prefixes.rows, more_k);
    grad_v.index_add_(0, prefixes.rows, more_v);
  }
  cuda::rotary_backward(
      current_stream(qkv.device()), plan.num_rows, cuda_kv_shape(config), bf16_data(grad_q.contiguous()),
      bf16_data(grad_k.contiguous()), bf16_data(grad_v.contiguous()), plan.positions.const_data_ptr<int32_t>(),
      static_cast<const float*>(plan.rotation.const_data_ptr()), bf16_data(grad_qkv), grad_qkv.stride(0));
}

}  // namespace noregret
