#include "noregret/nn/kv_cache.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include "nn/cuda_linear.h"
#include "nn/cuda_plan.h"
#include "noregret/base/check.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

using kernels::kPageSize;

kernels::KvShape kv_shape(const HfConfig& config) {
  return {.num_heads = config.num_heads, .num_kv_heads = config.num_kv_heads, .head_dim = config.head_dim};
}

KvCache::KvCache(const HfConfig& config, int64_t num_slots, int64_t max_length, Layout layout, at::Device device,
                 at::ScalarType dtype)
    : layout_(layout), shape_(kv_shape(config)), max_length_(max_length), lengths_(num_slots, 0) {
  const auto options = at::TensorOptions().device(device).dtype(dtype);
  if (layout_ == Layout::kSlabs) {
    // Zeros, not garbage: attention reads past a slot's end, and a NaN survives a weight of zero.
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      keys_.push_back(at::zeros({num_slots, max_length, config.num_kv_heads, config.head_dim}, options));
      values_.push_back(at::zeros({num_slots, max_length, config.num_kv_heads, config.head_dim}, options));
    }
    return;
  }
  // Room for slots that share nothing; the system gives memory to pages that are written.
  const int64_t num_pages = pages_for(num_slots);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    keys_.push_back(at::empty({num_pages, shape_.key_page()}, options));
    values_.push_back(at::empty({num_pages, shape_.value_page()}, options));
  }
  free_all_pages(num_pages, num_slots);
}

KvCache::KvCache(const HfConfig& config, int64_t num_slots, int64_t max_length, at::Device device, Memory& memory)
    : layout_(Layout::kPages), shape_(kv_shape(config)), max_length_(max_length), lengths_(num_slots, 0) {
  const int64_t page_size = cuda_kv_shape(config).page_size();
  const int64_t num_pages = pages_for(num_slots) + 1;
  if (!memory.keys.defined() || memory.keys.size(0) != config.num_layers || memory.keys.size(1) < num_pages ||
      memory.keys.size(2) != page_size) {
    memory = {};
    const auto options = at::TensorOptions().device(device).dtype(at::kBFloat16);
    memory.keys = at::zeros({config.num_layers, num_pages, page_size}, options);  // zeros, not garbage: see above
    memory.values = at::zeros({config.num_layers, num_pages, page_size}, options);
  }
  memory_ = memory;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    keys_.push_back(memory_.keys.select(0, layer));
    values_.push_back(memory_.values.select(0, layer));
  }
  spare_page_ = static_cast<int32_t>(num_pages - 1);
  free_all_pages(num_pages - 1, num_slots);
}

int64_t KvCache::pages_for(int64_t num_slots) const { return num_slots * ((max_length_ + kPageSize - 1) / kPageSize); }

void KvCache::free_all_pages(int64_t num_pages, int64_t num_slots) {
  tables_.resize(num_slots);
  num_users_.assign(num_pages, 0);
  for (int64_t page = num_pages - 1; page >= 0; --page) free_pages_.push_back(static_cast<int32_t>(page));
}

void KvCache::copy_page(int32_t from, int32_t to, int64_t count) {
  if (memory_.keys.defined()) {
    const cuda::KvShape shape{shape_.num_heads, shape_.num_kv_heads, shape_.head_dim};
    cuda::copy_page(current_stream(memory_.keys.device()), from, to, shape, memory_.keys.size(0),
                    memory_.keys.stride(0), bf16_data(memory_.keys), bf16_data(memory_.values));
    return;
  }
  for (size_t layer = 0; layer < keys_.size(); ++layer)
    kernels::copy_page(shape_, pages(static_cast<int64_t>(layer)), from, to, count);
}

int32_t KvCache::take_page() {
  NOREGRET_CHECK(!free_pages_.empty(), "no free page of ", num_users_.size());
  const int32_t page = free_pages_.back();
  free_pages_.pop_back();
  num_users_[page] = 1;
  return page;
}

void KvCache::drop_page(int32_t page) {
  if (--num_users_[page] == 0) free_pages_.push_back(page);
}

int64_t KvCache::num_pages_in_use() const {
  return static_cast<int64_t>(num_users_.size()) - static_cast<int64_t>(free_pages_.size());
}

void KvCache::clear(int64_t slot) {
  lengths_[slot] = 0;
  if (layout_ == Layout::kSlabs) return;
  for (const int32_t page : tables_[slot]) drop_page(page);
  tables_[slot].clear();
}

const int32_t* KvCache::reserve(int64_t slot, int64_t length) {
  NOREGRET_CHECK(length <= max_length_, "slot ", slot, " is to hold ", length, " of ", max_length_);
  std::vector<int32_t>& table = tables_[slot];
  while (static_cast<int64_t>(table.size()) * kPageSize < length) table.push_back(take_page());
  return table.data();
}

kernels::KvPages KvCache::pages(int64_t layer) {
  return {keys_[layer].mutable_data_ptr<float>(), values_[layer].mutable_data_ptr<float>()};
}

void KvCache::copy_slot(int64_t from, int64_t to) {
  if (from == to) return;
  const int64_t length = lengths_[from];
  clear(to);
  lengths_[to] = length;
  if (layout_ == Layout::kSlabs) {
    if (length == 0) return;
    for (std::vector<Tensor>* slabs : {&keys_, &values_}) {
      for (Tensor& slab : *slabs)
        slab.select(0, to).narrow(0, 0, length).copy_(slab.select(0, from).narrow(0, 0, length));
    }
    return;
  }
  // Full pages are written no more and shared; the last, partly filled one goes on differently in each slot.
  const int64_t num_full = length / kPageSize;
  const int64_t rest = length % kPageSize;
  for (int64_t i = 0; i < num_full; ++i) {
    ++num_users_[tables_[from][i]];
    tables_[to].push_back(tables_[from][i]);
  }
  if (rest == 0) return;
  const int32_t page = take_page();
  copy_page(tables_[from][num_full], page, rest);
  tables_[to].push_back(page);
}

void KvCache::move_slot(int64_t from, int64_t to) {
  if (from == to) return;
  if (layout_ == Layout::kSlabs) {
    copy_slot(from, to);
  } else {
    clear(to);
    lengths_[to] = lengths_[from];
    tables_[to] = std::exchange(tables_[from], {});
  }
  clear(from);
}

void KvCache::advance(int64_t slot, int64_t num_tokens) {
  NOREGRET_CHECK(lengths_[slot] + num_tokens <= max_length_, "slot ", slot, " holds ", lengths_[slot],
                 " tokens and gets ", num_tokens, " more, its length is ", max_length_);
  lengths_[slot] += num_tokens;
}

}  // namespace noregret
