#pragma once

#include <cstdint>
#include <vector>

#include "noregret/format/hf_config.h"
#include "noregret/tensor/tensor.h"

namespace noregret {

// Keys (after rotary) and values of sequences, one slab slot a sequence: per layer [slots, max_length, K, head_dim].
class KvCache {
 public:
  KvCache(const HfConfig& config, int64_t num_slots, int64_t max_length, at::Device device, at::ScalarType dtype);
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = default;

  int64_t num_slots() const { return static_cast<int64_t>(lengths_.size()); }
  int64_t max_length() const { return max_length_; }
  int64_t length(int64_t slot) const { return lengths_[slot]; }
  void clear(int64_t slot) { lengths_[slot] = 0; }
  void copy_slot(int64_t from, int64_t to);  // content and length

  Tensor& keys(int64_t layer) { return keys_[layer]; }
  Tensor& values(int64_t layer) { return values_[layer]; }
  void advance(int64_t slot,
               int64_t num_tokens);  // after all layers of a forward have written; bug when past max_length

 private:
  int64_t max_length_ = 0;
  std::vector<Tensor> keys_;
  std::vector<Tensor> values_;
  std::vector<int64_t> lengths_;
};

}  // namespace noregret
