#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/csrc/autograd/custom_function.h>

#include "noregret/base/check.h"
#include "noregret/nn/ops.h"

namespace noregret::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Prefixes = std::vector<AttentionPlan::SharedPrefix>;

// Rows of a packed tensor laid out per segment. index_select's own backward adds row after row; here every row has one
// place of its own
// (`own_rows`) and only shared prefixes are sums.
struct PadRows : Function<PadRows> {
  static Tensor forward(AutogradContext* ctx, const Tensor& packed, const Tensor& padded_rows, const Tensor& own_rows,
                        int64_t row_length, const Prefixes& prefixes) {
    ctx->save_for_backward({own_rows});
    ctx->saved_data["row_length"] = row_length;
    std::vector<int64_t> flat;
    for (const auto& [first, count, begin, length] : prefixes) flat.insert(flat.end(), {first, count, begin, length});
    ctx->saved_data["prefixes"] = flat;
    return packed.index_select(0, padded_rows);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const Tensor& padded = grads[0];
    Tensor packed = padded.index_select(0, ctx->get_saved_variables()[0]);
    const Tensor by_segment = padded.unflatten(0, {-1, ctx->saved_data["row_length"].toInt()});
    const std::vector<int64_t> flat = ctx->saved_data["prefixes"].toIntVector();
    for (size_t i = 0; i < flat.size(); i += 4) {
      const int64_t length = flat[i + 3];
      packed.narrow(0, flat[i + 2], length)
          .add_(by_segment.narrow(0, flat[i], flat[i + 1]).narrow(1, 0, length).sum(0));
    }
    return {packed, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

// The way back: row n of the packed tensor is row output_rows[n] of the padded one.
struct UnpadRows : Function<UnpadRows> {
  static Tensor forward(AutogradContext* ctx, const Tensor& padded, const Tensor& output_rows) {
    ctx->save_for_backward({output_rows});
    ctx->saved_data["num_rows"] = padded.size(0);
    return padded.index_select(0, output_rows);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    std::vector<int64_t> sizes = grads[0].sizes().vec();
    sizes[0] = ctx->saved_data["num_rows"].toInt();
    return {grads[0].new_zeros(sizes).index_copy_(0, ctx->get_saved_variables()[0], grads[0]), Tensor()};
  }
};

bool needs_grad(const Tensor& x) { return at::GradMode::is_enabled() && x.requires_grad(); }

Tensor pad_rows(const Tensor& packed, const Tensor& padded_rows, const Tensor& own_rows, int64_t row_length,
                const Prefixes& prefixes) {
  if (!needs_grad(packed)) return packed.index_select(0, padded_rows);
  return PadRows::apply(packed, padded_rows, own_rows, row_length, prefixes);
}

// [N, H, d] -> [B, K, rep * Tq, d]; query head k * rep + r reads key head k.
Tensor group_queries(const Tensor& q, int64_t num_kv_heads, const AttentionPlan& plan) {
  const int64_t rep = q.size(1) / num_kv_heads;
  const int64_t head_dim = q.size(2);
  const Tensor rows = plan.is_padded ? pad_rows(q, plan.query_rows, plan.output_rows, plan.max_query, {}) : q;
  return rows.view({plan.num_segments, plan.max_query, num_kv_heads, rep, head_dim})
      .permute({0, 2, 3, 1, 4})
      .reshape({plan.num_segments, num_kv_heads, rep * plan.max_query, head_dim});
}

// [N, K, d] -> [B, K, Tk, d]
Tensor batch_keys(const Tensor& k, const AttentionPlan& plan) {
  Tensor rows = k;
  if (plan.key_rows.defined()) {
    rows = pad_rows(k, plan.key_rows, plan.own_keys, plan.max_key, plan.shared_prefixes);
  } else if (plan.is_padded) {
    rows = pad_rows(k, plan.query_rows, plan.output_rows, plan.max_query, {});
  }
  return rows.view({plan.num_segments, plan.max_key, k.size(1), k.size(2)}).transpose(1, 2);
}

// Appends k to the slots and returns what they then hold, [B, K, Tk, d].
Tensor extend_cache(Tensor& slab, const Tensor& k, const AttentionPlan& plan) {
  NOREGRET_CHECK(!needs_grad(k), "a forward with a cache has no gradients; run it under NoGradGuard");
  slab.view({-1, k.size(1) * k.size(2)}).index_copy_(0, plan.cache_rows, k.flatten(1));
  const Tensor held = slab.narrow(1, 0, plan.max_key);
  const Tensor rows = plan.slots.defined() ? held.index_select(0, plan.slots) : held.narrow(0, 0, plan.num_segments);
  return rows.transpose(1, 2);
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionPlan& plan, KvCache* cache,
                 int64_t layer) {
  NOREGRET_CHECK(plan.uses_cache == (cache != nullptr), "the plan was made ", plan.uses_cache ? "with" : "without",
                 " a cache");
  const int64_t num_kv_heads = k.size(1);
  const int64_t rep = q.size(1) / num_kv_heads;
  const Tensor queries = group_queries(q, num_kv_heads, plan);
  const Tensor keys = cache == nullptr ? batch_keys(k, plan) : extend_cache(cache->keys(layer), k, plan);
  const Tensor values = cache == nullptr ? batch_keys(v, plan) : extend_cache(cache->values(layer), v, plan);
  const Tensor mask = plan.mask.scalar_type() == q.scalar_type() ? plan.mask : plan.mask.to(q.scalar_type());
  const Tensor mixed = at::scaled_dot_product_attention(queries, keys, values, mask);  // [B, K, rep * Tq, d]
  const Tensor rows = mixed.view({plan.num_segments, num_kv_heads, rep, plan.max_query, q.size(2)})
                          .permute({0, 3, 1, 2, 4})
                          .reshape({plan.num_segments * plan.max_query, q.size(1) * q.size(2)});
  if (!plan.is_padded) return rows;
  return needs_grad(rows) ? UnpadRows::apply(rows, plan.output_rows) : rows.index_select(0, plan.output_rows);
}

}  // namespace noregret::ops
