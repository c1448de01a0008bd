#include "noregret/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/inner.h"

namespace noregret::kernels {
namespace {

constexpr int64_t kQueryRows = 48;  // query heads of a task, so that keys read once serve many

// Memory that a thread uses again and again.
float* scratch(std::vector<float>& memory, int64_t size) {
  if (static_cast<int64_t>(memory.size()) < size) memory.resize(static_cast<size_t>(size));
  return memory.data();
}

// Rows of one segment that share a key head.
struct QueryTile {
  const QuerySegment* segment;
  int64_t first;  // row in the segment
  int64_t num_rows;
  int64_t kv_head;
};

int64_t rows_per_tile(const KvShape& shape) { return std::max<int64_t>(1, kQueryRows / shape.group()); }

// The queries of a tile, row after row and in it head after head, with rows of `stride`.
void gather_queries(const KvShape& shape, const QueryTile& tile, const float* x, int64_t stride, float* out) {
  const int64_t dim = shape.head_dim;
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    const float* row =
        x + ((tile.segment->first_row + tile.first + i) * shape.num_heads + tile.kv_head * shape.group()) * dim;
    for (int64_t head = 0; head < shape.group(); ++head, out += stride) {
      std::copy_n(row + head * dim, dim, out);
      std::fill(out + dim, out + stride, 0.0f);
    }
  }
}

void scatter_queries(const KvShape& shape, const QueryTile& tile, const float* in, int64_t stride, float* x) {
  const int64_t dim = shape.head_dim;
  for (int64_t i = 0; i < tile.num_rows; ++i) {
    float* row =
        x + ((tile.segment->first_row + tile.first + i) * shape.num_heads + tile.kv_head * shape.group()) * dim;
    for (int64_t head = 0; head < shape.group(); ++head, in += stride) std::copy_n(in, dim, row + head * dim);
  }
}

float score_scale(const KvShape& shape) { return 1.0f / std::sqrt(static_cast<float>(shape.head_dim)); }

// Keys and values of a long sequence come from memory; asked for ahead, they come while the last ones are used.
constexpr int64_t kPagesAhead = 6;
void fetch(const void* first, int64_t num_floats) {
  const auto* p = static_cast<const float*>(first);
  for (int64_t i = 0; i < num_floats; i += 16) __builtin_prefetch(p + i);
}

void attend(const KvShape& shape, const QueryTile& tile, const float* q, const KvPages& pages, float* y) {
  thread_local std::vector<float> memory;
  thread_local std::vector<const void*> panels;
  const int64_t dim = shape.head_dim;
  const int64_t padded = shape.padded_dim();
  const int64_t num_queries = tile.num_rows * shape.group();
  const int64_t first_limit = tile.segment->first_position + tile.first + 1;  // keys of the first row
  const int64_t limit = first_limit + tile.num_rows - 1;
  const int64_t num_pages = (limit + kPageSize - 1) / kPageSize;
  const int64_t width = num_pages * kPageSize;
  float* queries = scratch(memory, num_queries * (dim + width + padded));
  float* scores = queries + num_queries * dim;
  float* sums = scores + num_queries * width;
  gather_queries(shape, tile, q, dim, queries);

  const auto values_of = [&](int64_t page) {
    return pages.values + tile.segment->pages[page] * shape.value_page() + tile.kv_head * kPageSize * padded;
  };
  panels.resize(static_cast<size_t>(num_pages + padded / 16));
  for (int64_t page = 0; page < num_pages; ++page) {
    panels[page] = pages.keys + tile.segment->pages[page] * shape.key_page() + tile.kv_head * dim * kPageSize;
  }
  for (int64_t page = 0; page < num_pages; page += kPagesAhead) {
    const int64_t count = std::min(kPagesAhead, num_pages - page);
    for (int64_t next = page + count; next < std::min(page + count + kPagesAhead, num_pages); ++next)
      fetch(panels[next], dim * kPageSize);
    inner().multiply_f32({.a = queries,
                          .a_row = dim,
                          .a_k = 1,
                          .b = panels.data() + page,
                          .b_k = kPageSize,
                          .c = scores + page * kPageSize,
                          .c_row = width,
                          .num_rows = num_queries,
                          .num_panels = count,
                          .k = dim,
                          .adds = false});
  }
  for (int64_t page = 0; page < std::min(kPagesAhead, num_pages); ++page) fetch(values_of(page), kPageSize * padded);
  float totals[kQueryRows];
  std::vector<float> many;  // more query heads a key head than the tile was made for
  float* total = totals;
  if (num_queries > kQueryRows) {
    many.resize(static_cast<size_t>(num_queries));
    total = many.data();
  }
  for (int64_t i = 0; i < num_queries; ++i) {
    total[i] = inner().softmax(scores + i * width, first_limit + i / shape.group(), width, score_scale(shape));
  }
  // Keys beyond a row's own have weight 0, which changes no sum; those beyond the last row's are not read.
  for (int64_t page = 0; page < num_pages; ++page) {
    const float* values = values_of(page);
    if (page + kPagesAhead < num_pages) fetch(values_of(page + kPagesAhead), kPageSize * padded);
    for (int64_t p = 0; p < padded / 16; ++p) panels[p] = values + p * 16;
    inner().multiply_f32({.a = scores + page * kPageSize,
                          .a_row = width,
                          .a_k = 1,
                          .b = panels.data(),
                          .b_k = padded,
                          .c = sums,
                          .c_row = padded,
                          .num_rows = num_queries,
                          .num_panels = padded / 16,
                          .k = std::min(kPageSize, limit - page * kPageSize),
                          .adds = page > 0});
  }
  for (int64_t i = 0; i < num_queries; ++i) {
    const float inverse = 1.0f / total[i];
    for (int64_t e = 0; e < dim; ++e) sums[i * padded + e] *= inverse;
  }
  scatter_queries(shape, tile, sums, padded, y);
}

}  // namespace

void append_to_pages(ThreadPool& pool, const KvShape& shape, std::span<const QuerySegment> segments, const float* k,
                     const float* v, const KvPages& pages) {
  const int64_t dim = shape.head_dim;
  const int64_t padded = shape.padded_dim();
  const auto append = [&](const QuerySegment& segment) {
    for (int64_t i = 0; i < segment.num_rows; ++i) {
      const int64_t position = segment.first_position + i;
      const int64_t page = segment.pages[position / kPageSize];
      const int64_t lane = position % kPageSize;
      for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
        const int64_t from = ((segment.first_row + i) * shape.num_kv_heads + head) * dim;
        float* keys = pages.keys + page * shape.key_page() + head * dim * kPageSize + lane;
        float* values = pages.values + page * shape.value_page() + (head * kPageSize + lane) * padded;
        for (int64_t e = 0; e < dim; ++e) keys[e * kPageSize] = k[from + e];
        std::copy_n(v + from, dim, values);
        std::fill(values + dim, values + padded, 0.0f);
      }
    }
  };
  pool.run(static_cast<int64_t>(segments.size()), [&](int64_t i) { append(segments[i]); });
}

void copy_page(const KvShape& shape, const KvPages& pages, int32_t from, int32_t to, int64_t count) {
  const int64_t num_rows = shape.num_kv_heads * shape.head_dim;
  for (int64_t row = 0; row < num_rows; ++row) {
    std::copy_n(pages.keys + from * shape.key_page() + row * kPageSize, count,
                pages.keys + to * shape.key_page() + row * kPageSize);
  }
  for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
    const int64_t offset = head * kPageSize * shape.padded_dim();
    std::copy_n(pages.values + from * shape.value_page() + offset, count * shape.padded_dim(),
                pages.values + to * shape.value_page() + offset);
  }
}

void attention(ThreadPool& pool, const KvShape& shape, std::span<const QuerySegment> segments, const float* q,
               const KvPages& pages, float* y) {
  const int64_t block = rows_per_tile(shape);
  thread_local std::vector<QueryTile> tiles;
  tiles.clear();
  for (const QuerySegment& segment : segments) {
    // Late rows have more keys: begun first, so that the threads end together.
    for (int64_t first = (segment.num_rows - 1) / block * block; first >= 0; first -= block) {
      for (int64_t head = 0; head < shape.num_kv_heads; ++head)
        tiles.push_back({&segment, first, std::min(block, segment.num_rows - first), head});
    }
  }
  const QueryTile* tile = tiles.data();
  pool.run(static_cast<int64_t>(tiles.size()), [&](int64_t i) { attend(shape, tile[i], q, pages, y); });
}

namespace {

// One family's keys and values of one key head, and the sums of their gradients.
class FamilyBackward {
 public:
  FamilyBackward(const KvShape& shape, std::span<const QuerySegment> segments, const SegmentFamily& family,
                 int64_t kv_head, const float* q, const float* grad_y, float* grad_q)
      : shape_(shape), kv_head_(kv_head), q_(q), grad_y_(grad_y), grad_q_(grad_q) {
    members_.push_back({&segments[family.prefix], 0, 0});
    for (const int64_t follower : family.followers) members_.push_back({&segments[follower], 0, 0});
    for (Member& member : members_) {
      member.row = num_rows_;
      member.panel = num_panels_;
      num_rows_ += member.segment->num_rows;
      num_panels_ += (member.segment->num_rows + 15) / 16;
    }
  }

  void run(const float* k, const float* v, float* grad_k, float* grad_v) {
    const int64_t dim = shape_.head_dim;
    const int64_t padded = shape_.padded_dim();
    keys_.assign(static_cast<size_t>(num_rows_ * padded), 0.0f);
    grad_keys_.assign(keys_.size(), 0.0f);
    grad_values_.assign(keys_.size(), 0.0f);
    key_panels_.assign(static_cast<size_t>(num_panels_ * dim * 16), 0.0f);
    value_panels_.assign(key_panels_.size(), 0.0f);
    for (const Member& member : members_) {
      for (int64_t i = 0; i < member.segment->num_rows; ++i) {
        const int64_t from = ((member.segment->first_row + i) * shape_.num_kv_heads + kv_head_) * dim;
        const int64_t to = (member.panel + i / 16) * dim * 16 + i % 16;
        std::copy_n(k + from, dim, &keys_[(member.row + i) * padded]);
        for (int64_t e = 0; e < dim; ++e) {
          key_panels_[to + e * 16] = k[from + e];
          value_panels_[to + e * 16] = v[from + e];
        }
      }
    }
    const int64_t block = rows_per_tile(shape_);
    for (const Member& member : members_) {
      for (int64_t first = 0; first < member.segment->num_rows; first += block)
        add_tile(member, {member.segment, first, std::min(block, member.segment->num_rows - first), kv_head_});
    }
    for (const Member& member : members_) {
      for (int64_t i = 0; i < member.segment->num_rows; ++i) {
        const int64_t to = ((member.segment->first_row + i) * shape_.num_kv_heads + kv_head_) * dim;
        std::copy_n(&grad_keys_[(member.row + i) * padded], dim, grad_k + to);
        std::copy_n(&grad_values_[(member.row + i) * padded], dim, grad_v + to);
      }
    }
  }

 private:
  struct Member {
    const QuerySegment* segment;
    int64_t row;    // of its first key in keys_
    int64_t panel;  // of its first 16 keys in key_panels_
  };
  // Keys that a tile sees: those of the prefix, those of its own segment. `column` is where they lie in a row of
  // scores.
  struct Range {
    const Member* member;
    int64_t column;
    int64_t count;
  };

  // out [queries, width] = x [queries, dim] times the panels of the ranges
  void multiply_panels(const std::vector<Range>& ranges, const std::vector<float>& from, const float* x, int64_t stride,
                       int64_t num_queries, float* out, int64_t width) {
    for (const Range& range : ranges) {
      panels_.clear();
      for (int64_t p = 0; p < (range.count + 15) / 16; ++p)
        panels_.push_back(&from[(range.member->panel + p) * shape_.head_dim * 16]);
      inner().multiply_f32({.a = x,
                            .a_row = stride,
                            .a_k = 1,
                            .b = panels_.data(),
                            .b_k = 16,
                            .c = out + range.column,
                            .c_row = width,
                            .num_rows = num_queries,
                            .num_panels = static_cast<int64_t>(panels_.size()),
                            .k = shape_.head_dim,
                            .adds = false});
    }
  }

  void set_panels(const float* rows) {
    panels_.clear();
    for (int64_t p = 0; p < shape_.padded_dim() / 16; ++p) panels_.push_back(rows + p * 16);
  }

  // sums[key] += sum over queries of weights[query][key] x[query]
  void add_outer(const Range& range, const float* weights, int64_t width, const float* x, int64_t num_queries,
                 std::vector<float>& sums) {
    set_panels(x);
    inner().multiply_f32({.a = weights + range.column,
                          .a_row = 1,
                          .a_k = width,
                          .b = panels_.data(),
                          .b_k = shape_.padded_dim(),
                          .c = &sums[range.member->row * shape_.padded_dim()],
                          .c_row = shape_.padded_dim(),
                          .num_rows = range.count,
                          .num_panels = shape_.padded_dim() / 16,
                          .k = num_queries,
                          .adds = true});
  }

  // With P = softmax(S), S = scale Q K^T and Y = P V: dV = P^T dY, dP = dY V^T, dS = P (dP - sum over keys of P dP),
  // dQ = scale dS K, dK = scale dS^T Q.
  void add_tile(const Member& member, const QueryTile& tile) {
    const int64_t padded = shape_.padded_dim();
    const int64_t num_queries = tile.num_rows * shape_.group();
    std::vector<Range> ranges;
    int64_t width = 0;
    if (&member != &members_[0]) {
      ranges.push_back({&members_[0], 0, members_[0].segment->num_rows});
      width = (members_[0].segment->num_rows + 15) / 16 * 16;
    }
    const int64_t own_column = width;
    ranges.push_back({&member, own_column, tile.first + tile.num_rows});
    width += (tile.first + tile.num_rows + 15) / 16 * 16;

    float* queries = scratch(memory_, num_queries * (3 * padded + 2 * width));
    float* grad_out = queries + num_queries * padded;
    float* grad_queries = grad_out + num_queries * padded;
    float* scores = grad_queries + num_queries * padded;
    float* grad_scores = scores + num_queries * width;
    gather_queries(shape_, tile, q_, padded, queries);
    gather_queries(shape_, tile, grad_y_, padded, grad_out);
    multiply_panels(ranges, key_panels_, queries, padded, num_queries, scores, width);
    multiply_panels(ranges, value_panels_, grad_out, padded, num_queries, grad_scores, width);

    const float scale = score_scale(shape_);
    for (int64_t i = 0; i < num_queries; ++i) {
      float* p = scores + i * width;
      float* ds = grad_scores + i * width;
      if (ranges.size() > 1) std::fill(p + ranges[0].count, p + own_column, -std::numeric_limits<float>::infinity());
      const int64_t size = own_column + tile.first + i / shape_.group() + 1;
      const float inverse = 1.0f / inner().softmax(p, size, width, scale);
      for (int64_t j = 0; j < width; ++j) p[j] *= inverse;
      const float mean = inner().dot(p, ds, size);
      for (int64_t j = 0; j < width; ++j) ds[j] = p[j] * (ds[j] - mean) * scale;
    }
    for (const Range& range : ranges) {
      add_outer(range, scores, width, grad_out, num_queries, grad_values_);
      add_outer(range, grad_scores, width, queries, num_queries, grad_keys_);
      set_panels(&keys_[range.member->row * padded]);
      inner().multiply_f32({.a = grad_scores + range.column,
                            .a_row = width,
                            .a_k = 1,
                            .b = panels_.data(),
                            .b_k = padded,
                            .c = grad_queries,
                            .c_row = padded,
                            .num_rows = num_queries,
                            .num_panels = padded / 16,
                            .k = range.count,
                            .adds = &range != &ranges[0]});
    }
    scatter_queries(shape_, tile, grad_queries, padded, grad_q_);
  }

  const KvShape& shape_;
  const int64_t kv_head_;
  const float* q_;
  const float* grad_y_;
  float* grad_q_;
  std::vector<Member> members_;
  int64_t num_rows_ = 0;
  int64_t num_panels_ = 0;
  std::vector<float> keys_, grad_keys_, grad_values_;  // [rows, padded_dim]
  std::vector<float> key_panels_, value_panels_;       // [panels][dim][16]
  std::vector<float> memory_;
  std::vector<const void*> panels_;
};

}  // namespace

void attention_backward(ThreadPool& pool, const KvShape& shape, std::span<const QuerySegment> segments,
                        std::span<const SegmentFamily> families, const float* q, const float* k, const float* v,
                        const float* grad_y, float* grad_q, float* grad_k, float* grad_v) {
  const auto num_families = static_cast<int64_t>(families.size());
  pool.run(num_families * shape.num_kv_heads, [&](int64_t task) {
    FamilyBackward backward(shape, segments, families[task / shape.num_kv_heads], task % shape.num_kv_heads, q, grad_y,
                            grad_q);
    backward.run(k, v, grad_k, grad_v);
  });
}

}  // namespace noregret::kernels
