#include "nn/cpu_plan.h"

#include <ATen/ops/empty.h>

#include "nn/segments.h"

namespace noregret {

CpuPlan plan_on_cpu(const TokenBatch& batch, const HfConfig& config, KvCache* cache, const Tensor& rotary_table) {
  CpuPlan plan;
  plan.num_rows = batch.num_tokens();
  plan.kept_positions = batch.positions;
  plan.positions = batch.positions.const_data_ptr<int64_t>();
  plan.rotation = static_cast<const float*>(rotary_table.const_data_ptr());
  plan.cache = cache;
  const std::vector<int64_t> before = lengths_before(batch, config, cache);
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    const Segment& segment = batch.segments[i];
    plan.segments.push_back({segment.begin, segment.length, before[i], nullptr});
    if (cache != nullptr) plan.segments[i].pages = cache->reserve(segment.kv_slot, before[i] + segment.length);
  }
  if (cache != nullptr) return plan;

  plan.pages = lay_out_pages(batch.segments, before);
  std::vector<size_t> family_of(batch.segments.size());
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    plan.segments[i].pages = plan.pages.tables.data() + plan.pages.first[i];
    const Segment& segment = batch.segments[i];
    if (segment.prefix_segment < 0) {
      family_of[i] = plan.families.size();
      plan.families.push_back({.prefix = static_cast<int64_t>(i)});
    } else {
      plan.families[family_of[static_cast<size_t>(segment.prefix_segment)]].followers.push_back(
          static_cast<int64_t>(i));
    }
  }
  const kernels::KvShape shape = kv_shape(config);
  plan.keys = at::empty({plan.pages.num_pages, shape.key_page()}, at::kFloat);
  plan.values = at::empty({plan.pages.num_pages, shape.value_page()}, at::kFloat);
  return plan;
}

}  // namespace noregret
