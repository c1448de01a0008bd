#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "noregret/format/hf_config.h"
#include "noregret/kernels/attention.h"
#include "noregret/tensor/tensor.h"

namespace noregret {

// The shape of attention in the model's layers.
kernels::KvShape kv_shape(const HfConfig& config);

// Keys (after rotary) and values of sequences, one slot a sequence. As slabs, per layer [slots, max_length, K,
// head_dim], for the ATen backend; as pages of 16 positions for the kernels, where slots share the full pages of what
// one was copied from. The pages of all layers of a CUDA cache are one tensor each for keys and values, which a later
// cache can use again, and have one page that belongs to no slot.
class KvCache {
 public:
  enum class Layout { kSlabs, kPages };
  KvCache(const HfConfig& config, int64_t num_slots, int64_t max_length, Layout layout, at::Device device,
          at::ScalarType dtype);
  // On CUDA, as pages in `memory`, which is made larger where it is too small.
  struct Memory {
    Tensor keys, values;  // [layers, pages, elements of a page] bf16
  };
  KvCache(const HfConfig& config, int64_t num_slots, int64_t max_length, at::Device device, Memory& memory);
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = default;

  int64_t num_slots() const { return static_cast<int64_t>(lengths_.size()); }
  int64_t max_length() const { return max_length_; }
  int64_t length(int64_t slot) const { return lengths_[slot]; }
  void clear(int64_t slot);
  void copy_slot(int64_t from, int64_t to);  // content and length
  void move_slot(int64_t from, int64_t to);  // `from` is empty then
  void advance(int64_t slot,
               int64_t num_tokens);  // after all layers of a forward have written; bug when past max_length

  // Slabs.
  Tensor& keys(int64_t layer) { return keys_[layer]; }
  Tensor& values(int64_t layer) { return values_[layer]; }
  // Pages. The slot's page table, with pages for its first `length` positions; valid until the slot is changed.
  const int32_t* reserve(int64_t slot, int64_t length);
  kernels::KvPages pages(int64_t layer);
  int64_t num_pages_in_use() const;
  int32_t spare_page() const { return spare_page_; }  // of CUDA: never a slot's

 private:
  int32_t take_page();
  void drop_page(int32_t page);

  int64_t pages_for(int64_t num_slots) const;
  void free_all_pages(int64_t num_pages, int64_t num_slots);
  void copy_page(int32_t from, int32_t to, int64_t count);

  Layout layout_;
  kernels::KvShape shape_;
  int64_t max_length_ = 0;
  std::vector<Tensor> keys_;
  std::vector<Tensor> values_;
  std::vector<int64_t> lengths_;
  std::vector<std::vector<int32_t>> tables_;  // by slot
  std::vector<int32_t> num_users_;            // of each page
  std::vector<int32_t> free_pages_;           // the last is taken first
  Memory memory_;                             // on CUDA
  int32_t spare_page_ = -1;
};

}  // namespace noregret
