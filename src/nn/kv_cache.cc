#include "noregret/nn/kv_cache.h"

#include <ATen/ops/zeros.h>

#include "noregret/base/check.h"

namespace noregret {

KvCache::KvCache(const HfConfig& config, int64_t num_slots, int64_t max_length, at::Device device, at::ScalarType dtype)
    : max_length_(max_length), lengths_(num_slots, 0) {
  // Zeros, not garbage: attention reads past a slot's end, and a NaN survives a weight of zero.
  const auto options = at::TensorOptions().device(device).dtype(dtype);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    keys_.push_back(at::zeros({num_slots, max_length, config.num_kv_heads, config.head_dim}, options));
    values_.push_back(at::zeros({num_slots, max_length, config.num_kv_heads, config.head_dim}, options));
  }
}

void KvCache::copy_slot(int64_t from, int64_t to) {
  const int64_t length = lengths_[from];
  lengths_[to] = length;
  if (from == to || length == 0) return;
  for (std::vector<Tensor>* slabs : {&keys_, &values_}) {
    for (Tensor& slab : *slabs)
      slab.select(0, to).narrow(0, 0, length).copy_(slab.select(0, from).narrow(0, 0, length));
  }
}

void KvCache::advance(int64_t slot, int64_t num_tokens) {
  NOREGRET_CHECK(lengths_[slot] + num_tokens <= max_length_, "slot ", slot, " holds ", lengths_[slot],
                 " tokens and gets ", num_tokens, " more, its length is ", max_length_);
  lengths_[slot] += num_tokens;
}

}  // namespace noregret
