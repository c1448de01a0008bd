#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <limits>
#include <optional>
#include <tuple>

#include "noregret/base/check.h"

// LibTorch's operators that only its CUDA library has, or that its CPU library has a hundred times slower, in f32 with
// results rounded once.
namespace emulation {
namespace {

using at::Tensor;

Tensor multiply(const Tensor& a, const Tensor& b) {
  return at::addmm(at::zeros({}, at::kFloat), a.to(at::kFloat), b.to(at::kFloat), /*beta=*/0, /*alpha=*/1);
}
Tensor mm(const Tensor& a, const Tensor& b) { return multiply(a, b).to(a.scalar_type()); }
Tensor& mm_out(const Tensor& a, const Tensor& b, Tensor& to) { return to.copy_(multiply(a, b)); }
Tensor mm_dtype(const Tensor& a, const Tensor& b, at::ScalarType dtype) { return multiply(a, b).to(dtype); }

// A sequence's queries, or its keys as those see them: [heads, rows, head_dim] f32.
Tensor heads_of(const Tensor& packed, const Tensor& starts, int64_t i, int64_t num_heads) {
  const int64_t begin = starts[i].item<int>(), end = starts[i + 1].item<int>();
  const Tensor own = packed.narrow(0, begin, end - begin).to(at::kFloat).transpose(0, 1);
  return own.repeat_interleave(num_heads / own.size(0), 0);
}
// Sums over the heads that share keys, as rows.
Tensor rows_of(const Tensor& heads, int64_t num_kv_heads) {
  return heads.unflatten(0, {num_kv_heads, -1}).sum(1).transpose(0, 1);
}

Tensor scores_of(const Tensor& q, const Tensor& k, bool is_causal, double scale) {
  const Tensor scores = at::bmm(q, k.transpose(1, 2)).mul_(scale);
  if (!is_causal) return scores;
  NOREGRET_CHECK(q.size(1) == k.size(1), q.size(1), " queries of ", k.size(1), " keys");
  const Tensor rows = at::arange(q.size(1));
  return scores.masked_fill_(rows.unsqueeze(0).gt(rows.unsqueeze(1)), -std::numeric_limits<float>::infinity());
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> flash_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                                                 const std::optional<Tensor>& query_starts,
                                                                 const std::optional<Tensor>& key_starts, int64_t,
                                                                 int64_t, double, bool is_causal, bool,
                                                                 std::optional<double> scale, std::optional<int64_t>,
                                                                 std::optional<int64_t>, const std::optional<Tensor>&,
                                                                 const std::optional<Tensor>&) {
  const int64_t num_heads = q.size(1);
  const Tensor y = at::zeros_like(q);
  const Tensor lse = at::full({num_heads, q.size(0)}, std::numeric_limits<float>::infinity(), at::kFloat);
  for (int64_t i = 0; i + 1 < query_starts->size(0); ++i) {
    const Tensor queries = heads_of(q, *query_starts, i, num_heads), keys = heads_of(k, *key_starts, i, num_heads);
    if (queries.size(1) == 0 || keys.size(1) == 0) continue;
    const Tensor scores = scores_of(queries, keys, is_causal, *scale), total = scores.logsumexp(2);
    const Tensor weights = scores.sub(total.unsqueeze(2)).exp_();
    const int64_t begin = (*query_starts)[i].item<int>();
    lse.narrow(1, begin, queries.size(1)).copy_(total);
    y.narrow(0, begin, queries.size(1)).copy_(at::bmm(weights, heads_of(v, *key_starts, i, num_heads)).transpose(0, 1));
  }
  const Tensor none = at::empty({0}, at::kLong);
  return {y, lse, none, none, none};
}

// With s = q k^T scale, p = e^(s - lse), d = sum(grad y): dv = p^T grad, ds = p (grad v^T - d), dq = ds k scale, dk =
// ds^T q scale.
std::tuple<Tensor, Tensor, Tensor> flash_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                                                  const Tensor& y, const Tensor& lse, const Tensor& query_starts,
                                                  const Tensor& key_starts, int64_t, int64_t, double, bool is_causal,
                                                  const Tensor&, const Tensor&, std::optional<double> scale,
                                                  std::optional<int64_t>, std::optional<int64_t>) {
  const int64_t num_heads = q.size(1), num_kv_heads = k.size(1);
  const Tensor grad_q = at::zeros_like(q), grad_k = at::zeros_like(k), grad_v = at::zeros_like(v);
  for (int64_t i = 0; i + 1 < query_starts.size(0); ++i) {
    const auto of_queries = [&](const Tensor& rows) { return heads_of(rows, query_starts, i, num_heads); };
    const auto of_keys = [&](const Tensor& rows) { return heads_of(rows, key_starts, i, num_heads); };
    const Tensor queries = of_queries(q), keys = of_keys(k), grads = of_queries(grad);
    if (queries.size(1) == 0 || keys.size(1) == 0) continue;
    const int64_t begin = query_starts[i].item<int>(), first_key = key_starts[i].item<int>();
    const Tensor total = lse.narrow(1, begin, queries.size(1)).unsqueeze(2);
    const Tensor weights = scores_of(queries, keys, is_causal, *scale).sub(total).exp_();
    const Tensor along = grads.mul(of_queries(y)).sum(2, /*keepdim=*/true);
    const Tensor of_scores = at::bmm(grads, of_keys(v).transpose(1, 2)).sub_(along).mul_(weights).mul_(*scale);
    grad_q.narrow(0, begin, queries.size(1)).copy_(at::bmm(of_scores, keys).transpose(0, 1));
    const auto add = [&](const Tensor& to, const Tensor& heads) {
      to.narrow(0, first_key, keys.size(1)).copy_(rows_of(heads, num_kv_heads));
    };
    add(grad_k, at::bmm(of_scores.transpose(1, 2), queries));
    add(grad_v, at::bmm(weights.transpose(1, 2), grads));
  }
  return {grad_q, grad_k, grad_v};
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CPU, library) {
  at::set_num_threads(1);  // others would wait busily while blocks run
  library.impl("mm", TORCH_FN(mm));
  library.impl("mm.out", TORCH_FN(mm_out));
  library.impl("mm.dtype", TORCH_FN(mm_dtype));
  library.impl("_flash_attention_forward", TORCH_FN(flash_forward));
  library.impl("_flash_attention_backward", TORCH_FN(flash_backward));
}

}  // namespace emulation
