#include "nn/cuda_plan.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "nn/segments.h"

namespace noregret {

namespace cuda = kernels::cuda;

namespace {

using kernels::kPageSize;

Tensor on_device(const std::vector<int32_t>& values, at::Device device) {
  return at::tensor(values, at::kInt).to(device);
}

// Consecutive segments with the same prefix read its keys together; a run without a prefix reads none.
CudaPlan::Prefixes plan_prefixes(const std::vector<Segment>& segments, at::Device device) {
  std::vector<int64_t> rows;
  std::vector<int32_t> query_starts = {0}, key_starts = {0};
  CudaPlan::Prefixes prefixes;
  for (size_t i = 0; i < segments.size();) {
    const int64_t prefix = segments[i].prefix_segment;
    int64_t end = segments[i].begin;
    for (; i < segments.size() && segments[i].prefix_segment == prefix; ++i) end += segments[i].length;
    if (prefix >= 0) {
      const Segment& shared = segments[static_cast<size_t>(prefix)];
      for (int64_t t = 0; t < shared.length; ++t) rows.push_back(shared.begin + t);
      prefixes.longest_key = std::max(prefixes.longest_key, shared.length);
    }
    prefixes.longest_query = std::max(prefixes.longest_query, end - query_starts.back());
    query_starts.push_back(static_cast<int32_t>(end));
    key_starts.push_back(static_cast<int32_t>(rows.size()));
  }
  if (rows.empty()) return prefixes;
  prefixes.rows = at::tensor(rows, at::kLong).to(device);
  prefixes.query_starts = on_device(query_starts, device);
  prefixes.key_starts = on_device(key_starts, device);
  return prefixes;
}

void plan_packed(const std::vector<Segment>& segments, at::Device device, CudaPlan& plan) {
  std::vector<int32_t> starts = {0};
  for (const Segment& segment : segments) {
    starts.push_back(starts.back() + static_cast<int32_t>(segment.length));
    plan.longest = std::max(plan.longest, segment.length);
  }
  plan.starts = on_device(starts, device);
  plan.prefixes = plan_prefixes(segments, device);
}

// tables: of each segment, so many pages as it needs.
void plan_pages(const std::vector<Segment>& segments, const std::vector<int64_t>& before,
                const std::vector<const int32_t*>& tables, at::Device device, const HfConfig& config, CudaPlan& plan) {
  int64_t max_pages = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    plan.max_length = std::max(plan.max_length, before[i] + segments[i].length);
    max_pages = std::max(max_pages, (before[i] + segments[i].length + kPageSize - 1) / kPageSize);
  }
  std::vector<int32_t> all(segments.size() * static_cast<size_t>(max_pages), 0), sequences;
  for (size_t i = 0; i < segments.size(); ++i) {
    const int64_t count = (before[i] + segments[i].length + kPageSize - 1) / kPageSize;
    std::copy_n(tables[i], count, all.begin() + static_cast<int64_t>(i) * max_pages);
    sequences.insert(sequences.end(), static_cast<size_t>(segments[i].length), static_cast<int32_t>(i));
  }
  plan.tables = on_device(all, device).view({static_cast<int64_t>(segments.size()), max_pages});
  plan.sequences = on_device(sequences, device);
  if (!plan.reads_pages) return;
  const int64_t bytes = cuda::attention_scratch_bytes(plan.num_rows, cuda_kv_shape(config), plan.max_length);
  plan.scratch = at::zeros({bytes}, at::TensorOptions(at::kByte).device(device));
}

}  // namespace

cuda::KvShape cuda_kv_shape(const HfConfig& config) {
  return {.num_heads = config.num_heads, .num_kv_heads = config.num_kv_heads, .head_dim = config.head_dim};
}

bool cuda_kernels_can(const HfConfig& config) {
  const auto is_one_of = [](int64_t value, std::initializer_list<int64_t> known) {
    return std::find(known.begin(), known.end(), value) != known.end();
  };
  return is_one_of(config.head_dim, {16, 32, 64, 80, 96, 128}) && config.num_heads / config.num_kv_heads <= 8 &&
         config.num_heads * config.head_dim % 32 == 0 && config.hidden_size % 32 == 0 &&
         config.intermediate_size % 32 == 0;
}

CudaPlan plan_on_cuda(const TokenBatch& batch, const HfConfig& config, KvCache* cache, const Tensor& rotary_table,
                      bool is_exact) {
  const std::vector<int64_t> before = lengths_before(batch, config, cache);
  const std::vector<Segment>& segments = batch.segments;
  const at::Device device = batch.ids.device();
  CudaPlan plan;
  plan.num_rows = batch.num_tokens();
  plan.is_exact = is_exact;
  plan.positions = batch.positions.to(at::kInt);
  plan.rotation = rotary_table;
  plan.cache = cache;
  const bool starts_empty = std::all_of(before.begin(), before.end(), [](int64_t length) { return length == 0; });
  plan.reads_pages = is_exact || (cache != nullptr && !starts_empty);
  if (!plan.reads_pages) plan_packed(segments, device, plan);
  std::vector<const int32_t*> tables(segments.size());
  if (cache != nullptr) {
    for (size_t i = 0; i < segments.size(); ++i)
      tables[i] = cache->reserve(segments[i].kv_slot, before[i] + segments[i].length);
    plan_pages(segments, before, tables, device, config, plan);
  } else if (is_exact) {
    plan_packed(segments, device, plan);  // for the backward pass
    const BatchPages pages = lay_out_pages(segments, before);
    for (size_t i = 0; i < segments.size(); ++i) tables[i] = pages.tables.data() + pages.first[i];
    plan_pages(segments, before, tables, device, config, plan);
    plan.shared = pages.shared;
    for (const Segment& segment : segments) plan.first_rows.push_back(segment.begin);
    plan.first_rows.push_back(plan.num_rows);
    const auto options = at::TensorOptions(at::kBFloat16).device(device);
    plan.keys = at::zeros({pages.num_pages, cuda_kv_shape(config).page_size()},
                          options);  // not NaN: a weight of 0 does not undo it
    plan.values = at::zeros_like(plan.keys);
  }
  return plan;
}

}  // namespace noregret
