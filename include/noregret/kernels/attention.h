#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "noregret/kernels/thread_pool.h"

namespace noregret::kernels {

constexpr int64_t kPageSize = 16;  // positions of a page

// Keys (after rotary) and values of one layer, in pages of 16 positions of one sequence.
struct KvShape {
  int64_t num_heads = 0;  // of queries; a multiple of num_kv_heads
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;

  int64_t group() const { return num_heads / num_kv_heads; }  // query heads that share keys
  int64_t padded_dim() const { return (head_dim + 15) / 16 * 16; }
  int64_t key_page() const { return num_kv_heads * head_dim * kPageSize; }        // [kv_head][element][16 keys]
  int64_t value_page() const { return num_kv_heads * kPageSize * padded_dim(); }  // [kv_head][16 keys][padded element]
};
struct KvPages {
  float* keys;    // [pages] of key_page() floats
  float* values;  // [pages] of value_page() floats
};

// Consecutive rows of a batch that belong to one sequence, at consecutive positions. Pages lists where positions 0, 16,
// 32, ... of the sequence lie; those before first_position have been written.
struct QuerySegment {
  int64_t first_row = 0;
  int64_t num_rows = 0;
  int64_t first_position = 0;
  const int32_t* pages = nullptr;
};

// Writes the rows' keys and values into their segments' pages.  k, v [rows, num_kv_heads * head_dim]
void append_to_pages(ThreadPool& pool, const KvShape& shape, std::span<const QuerySegment> segments, const float* k,
                     const float* v, const KvPages& pages);
// Copies the first `count` positions of a page: where a sequence goes on in the middle of a shared page.
void copy_page(const KvShape& shape, const KvPages& pages, int32_t from, int32_t to, int64_t count);

// softmax(q k^T / sqrt(head_dim)) v over all positions up to the row's own.  q, y [rows, num_heads * head_dim]
// A row's result depends on its sequence alone: not on the segment it comes in, nor on which pages hold its keys.
void attention(ThreadPool& pool, const KvShape& shape, std::span<const QuerySegment> segments, const float* q,
               const KvPages& pages, float* y);

// Sequences that share a first segment: segment `prefix`, and those that go on from its end.
struct SegmentFamily {
  int64_t prefix = 0;
  std::vector<int64_t> followers;
};
// Gradients of attention() over one batch whose families are complete (no keys from elsewhere).
//   k, v, grad_k, grad_v [rows, num_kv_heads * head_dim]; grad_y, grad_q like q. The gradients are overwritten.
void attention_backward(ThreadPool& pool, const KvShape& shape, std::span<const QuerySegment> segments,
                        std::span<const SegmentFamily> families, const float* q, const float* k, const float* v,
                        const float* grad_y, float* grad_q, float* grad_k, float* grad_v);

}  // namespace noregret::kernels
