#include <ATen/ops/arange.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "nn/segments.h"
#include "noregret/nn/ops.h"

namespace noregret::ops {
namespace {

// Fills a plan from the host's view of the batch; index tensors go to the device once.
class Planner {
 public:
  Planner(const TokenBatch& batch, const HfConfig& config, const KvCache* cache)
      : batch_(batch), config_(config), cache_(cache) {
    plan_.uses_cache = cache != nullptr;
    plan_.num_segments = static_cast<int64_t>(batch.segments.size());
    measure();
  }

  AttentionPlan build(const Tensor& table) {
    place_queries();
    if (cache_ != nullptr) {
      place_in_cache();
    } else if (std::any_of(segments().begin(), segments().end(),
                           [](const Segment& s) { return s.prefix_segment >= 0; })) {
      place_keys();
    }
    build_mask();
    plan_.rotation = table.index_select(0, batch_.positions).unsqueeze(1);
    return std::move(plan_);
  }

 private:
  const std::vector<Segment>& segments() const { return batch_.segments; }

  Tensor to_device(const std::vector<int64_t>& values) const {
    return at::tensor(values, at::kLong).to(batch_.ids.device());
  }

  void measure() {
    before_ = lengths_before(batch_, config_, cache_);
    for (int64_t b = 0; b < plan_.num_segments; ++b) {
      plan_.max_query = std::max(plan_.max_query, segments()[b].length);
      plan_.max_key = std::max(plan_.max_key, before_[b] + segments()[b].length);
    }
    plan_.is_padded = plan_.num_segments * plan_.max_query != batch_.num_tokens();
  }

  void place_queries() {
    if (!plan_.is_padded) return;
    std::vector<int64_t> query_rows(plan_.num_segments * plan_.max_query, 0);
    std::vector<int64_t> output_rows;
    output_rows.reserve(batch_.num_tokens());
    for (int64_t b = 0; b < plan_.num_segments; ++b) {
      for (int64_t t = 0; t < segments()[b].length; ++t) {
        output_rows.push_back(b * plan_.max_query + t);
        query_rows[output_rows.back()] = segments()[b].begin + t;
      }
    }
    plan_.query_rows = to_device(query_rows);
    plan_.output_rows = to_device(output_rows);
  }

  void place_keys() {
    std::vector<int64_t> key_rows(plan_.num_segments * plan_.max_key, 0);
    std::vector<int64_t> own_keys;
    own_keys.reserve(batch_.num_tokens());
    for (int64_t b = 0; b < plan_.num_segments; ++b) {
      const Segment& segment = segments()[b];
      const int64_t begin = b * plan_.max_key;
      if (segment.prefix_segment >= 0) share_prefix(b);
      for (int64_t t = 0; t < before_[b]; ++t) key_rows[begin + t] = segments()[segment.prefix_segment].begin + t;
      for (int64_t t = 0; t < segment.length; ++t) {
        own_keys.push_back(begin + before_[b] + t);
        key_rows[own_keys.back()] = segment.begin + t;
      }
    }
    plan_.key_rows = to_device(key_rows);
    plan_.own_keys = to_device(own_keys);
  }

  void share_prefix(int64_t b) {
    const Segment& prefix = segments()[segments()[b].prefix_segment];
    std::vector<AttentionPlan::SharedPrefix>& shared = plan_.shared_prefixes;
    if (!shared.empty() && shared.back().begin == prefix.begin && shared.back().first + shared.back().count == b) {
      ++shared.back().count;
    } else {
      shared.push_back({b, 1, prefix.begin, prefix.length});
    }
  }

  void place_in_cache() {
    std::vector<int64_t> cache_rows;
    std::vector<int64_t> slots;
    bool is_in_order = true;
    for (int64_t b = 0; b < plan_.num_segments; ++b) {
      const int64_t slot = segments()[b].kv_slot;
      is_in_order &= slot == b;
      slots.push_back(slot);
      for (int64_t t = 0; t < segments()[b].length; ++t)
        cache_rows.push_back(slot * cache_->max_length() + before_[b] + t);
    }
    plan_.cache_rows = to_device(cache_rows);
    if (!is_in_order) plan_.slots = to_device(slots);
  }

  // Visible keys are the first so-many of a segment's row, because what precedes it lies before its own.
  void build_mask() {
    const int64_t rep = plan_.max_query == 1 ? 1 : config_.num_heads / config_.num_kv_heads;
    std::vector<int64_t> num_visible;
    num_visible.reserve(plan_.num_segments * rep * plan_.max_query);
    for (int64_t b = 0; b < plan_.num_segments; ++b) {
      for (int64_t r = 0; r < rep; ++r) {
        for (int64_t t = 0; t < plan_.max_query; ++t)
          num_visible.push_back(before_[b] + std::min(t + 1, segments()[b].length));
      }
    }
    const Tensor limit = to_device(num_visible).view({plan_.num_segments, 1, rep * plan_.max_query, 1});
    const Tensor is_hidden = at::arange(plan_.max_key, limit.options()).ge(limit);
    plan_.mask = at::zeros(is_hidden.sizes(), limit.options().dtype(at::kFloat))
                     .masked_fill_(is_hidden, -std::numeric_limits<float>::infinity());
  }

  const TokenBatch& batch_;
  const HfConfig& config_;
  const KvCache* cache_;
  std::vector<int64_t> before_;  // tokens that precede each segment
  AttentionPlan plan_;
};

}  // namespace

AttentionPlan plan_attention(const TokenBatch& batch, const HfConfig& config, const KvCache* cache,
                             const Tensor& table) {
  return Planner(batch, config, cache).build(table);
}

}  // namespace noregret::ops
