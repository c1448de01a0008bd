#include "noregret/kernels/attention.h"

#include <algorithm>

#include "kernels/attention_tiles.h"
#include "kernels/inner.h"

namespace noregret::kernels {
namespace {

// Keys and values of a long sequence come from memory; asked for ahead, they come while the last ones are used.
constexpr int64_t kPagesAhead = 6;
constexpr int64_t kFirstValues = 4;  // pages of values that multiply_pages() does not ask for
void fetch(const void* first, int64_t num_floats) {
  const auto* p = static_cast<const float*>(first);
  for (int64_t i = 0; i < num_floats; i += 16) __builtin_prefetch(p + i);
}

// Queries beyond kFewQueries take several turns over the values: over kPagesAtOnce pages, which stay in the innermost
// cache meanwhile.
constexpr int64_t kFewQueries = 6;
constexpr int64_t kPagesAtOnce = 12;

// Tiles of one key head that are worked on together: one, or several that have their first `num_shared` pages, all of
// them full, in common, which are then read once for all.
struct TileGroup {
  std::span<const QueryTile> tiles;
  int64_t num_shared;
};

class GroupAttention {
 public:
  GroupAttention(const KvShape& shape, const TileGroup& group, const KvPages& pages)
      : shape_(shape), group_(group), pages_(pages), kv_head_(group.tiles[0].kv_head) {}

  void run(const float* q, float* y) {
    thread_local std::vector<float> memory;
    int64_t num_queries = 0;
    for (const QueryTile& tile : group_.tiles) {
      num_queries += queries_of(tile);
      width_ = std::max(width_, num_pages(tile) * kPageSize);
    }
    queries_ = scratch(memory, num_queries * (dim_ + width_ + padded_ + 1));
    scores_ = queries_ + num_queries * dim_;
    sums_ = scores_ + num_queries * width_;
    totals_ = sums_ + num_queries * padded_;
    int64_t first = 0;
    for (const QueryTile& tile : group_.tiles) {
      gather_queries(shape_, tile, q, dim_, queries_ + first * dim_);
      first += queries_of(tile);
    }
    score(*group_.tiles[0].segment, 0, num_queries, 0, group_.num_shared);
    first = 0;
    for (const QueryTile& tile : group_.tiles) {
      score(*tile.segment, first, queries_of(tile), group_.num_shared, num_pages(tile));
      first = weigh_keys(tile, first);
    }
    add_values(*group_.tiles[0].segment, 0, num_queries, 0, group_.num_shared * kPageSize);
    first = 0;
    for (const QueryTile& tile : group_.tiles) {
      add_values(*tile.segment, first, queries_of(tile), group_.num_shared, num_keys(tile));
      first = finish(tile, first, y);
    }
  }

 private:
  int64_t queries_of(const QueryTile& tile) const { return tile.num_rows * shape_.group(); }
  static int64_t num_keys(const QueryTile& tile) {
    return tile.segment->first_position + tile.first + tile.num_rows;  // of the last row
  }
  static int64_t num_pages(const QueryTile& tile) { return (num_keys(tile) + kPageSize - 1) / kPageSize; }
  const float* keys_of(const QuerySegment& segment, int64_t page) const {
    return pages_.keys + segment.pages[page] * shape_.key_page() + kv_head_ * dim_ * kPageSize;
  }
  const float* values_of(const QuerySegment& segment, int64_t page) const {
    return pages_.values + segment.pages[page] * shape_.value_page() + kv_head_ * kPageSize * padded_;
  }

  // Scores of pages [page, end).
  void score(const QuerySegment& segment, int64_t first, int64_t num_queries, int64_t page, int64_t end) {
    const void* panels[kPagesAhead];
    const bool has_first = page == 0;
    for (; page < end; page += kPagesAhead) {
      const int64_t count = std::min(kPagesAhead, end - page);
      for (int64_t i = 0; i < count; ++i) panels[i] = keys_of(segment, page + i);
      for (int64_t next = page + count; next < std::min(page + count + kPagesAhead, end); ++next)
        fetch(keys_of(segment, next), dim_ * kPageSize);
      if (has_first && page + count == end) {
        for (int64_t i = 0; i < std::min(end, kFirstValues); ++i) fetch(values_of(segment, i), kPageSize * padded_);
      }
      inner().multiply_f32({.a = queries_ + first * dim_,
                            .a_row = dim_,
                            .a_k = 1,
                            .b = panels,
                            .b_k = kPageSize,
                            .c = scores_ + first * width_ + page * kPageSize,
                            .c_row = width_,
                            .num_rows = num_queries,
                            .num_panels = count,
                            .k = dim_,
                            .adds = false});
    }
  }

  // Scores become weights, 0 for keys beyond a row's own.
  int64_t weigh_keys(const QueryTile& tile, int64_t first) {
    for (int64_t i = 0; i < queries_of(tile); ++i) {
      const int64_t num_visible = tile.segment->first_position + tile.first + 1 + i / shape_.group();
      totals_[first + i] = inner().softmax(scores_ + (first + i) * width_, num_visible, num_pages(tile) * kPageSize,
                                           score_scale(shape_));
    }
    return first + queries_of(tile);
  }

  // Sums over keys from `page` to `num_keys`; those of weight 0 change none, and what lies beyond is not read.
  void add_values(const QuerySegment& segment, int64_t first, int64_t num_queries, int64_t page, int64_t num_keys) {
    thread_local std::vector<const void*> values;
    values.clear();
    const int64_t end = (num_keys + kPageSize - 1) / kPageSize;
    for (int64_t i = page; i < end; ++i) values.push_back(values_of(segment, i));
    const int64_t block = num_queries > kFewQueries ? kPagesAtOnce : end - page;
    for (int64_t i = page; i < end; i += block) {
      inner().multiply_pages({.a = scores_ + first * width_ + i * kPageSize,
                              .a_row = width_,
                              .a_k = 1,
                              .b = &values[i - page],
                              .b_k = padded_,
                              .c = sums_ + first * padded_,
                              .c_row = padded_,
                              .num_rows = num_queries,
                              .num_panels = padded_ / 16,
                              .k = std::min(num_keys - i * kPageSize, block * kPageSize),
                              .adds = i > 0});
    }
  }

  int64_t finish(const QueryTile& tile, int64_t first, float* y) {
    float* sums = sums_ + first * padded_;
    for (int64_t i = 0; i < queries_of(tile); ++i) {
      const float inverse = 1.0f / totals_[first + i];
      for (int64_t e = 0; e < dim_; ++e) sums[i * padded_ + e] *= inverse;
    }
    scatter_queries(shape_, tile, sums, padded_, y);
    return first + queries_of(tile);
  }

  const KvShape& shape_;
  const TileGroup& group_;
  const KvPages& pages_;
  const int64_t kv_head_;
  const int64_t dim_ = shape_.head_dim;
  const int64_t padded_ = shape_.padded_dim();
  int64_t width_ = 0;  // of a row of scores
  float *queries_ = nullptr, *scores_ = nullptr, *sums_ = nullptr, *totals_ = nullptr;
};

// Pages from the first on that all have in common and that are full.
int64_t num_shared_pages(std::span<const QuerySegment* const> segments) {
  int64_t shared = segments[0]->first_position / kPageSize;
  for (const QuerySegment* segment : segments.subspan(1)) {
    shared = std::min(shared, segment->first_position / kPageSize);
    shared = std::mismatch(segment->pages, segment->pages + shared, segments[0]->pages).first - segment->pages;
  }
  return shared;
}

// The work of one call, and the memory for it.
class AttentionTiles {
 public:
  // Rows that are alone in their segments are grouped with their siblings, as long as there is work for all threads.
  void build(const KvShape& shape, std::span<const QuerySegment> segments, int num_threads) {
    tiles_.clear();
    groups_.clear();
    single_.clear();
    for (const QuerySegment& segment : segments) {
      if (segment.num_rows == 1) {
        single_.push_back(&segment);
      } else {
        split(shape, segment);
      }
    }
    std::sort(single_.begin(), single_.end(), [](const QuerySegment* a, const QuerySegment* b) {
      return std::pair(a->pages[0], a) < std::pair(b->pages[0], b);
    });
    const auto num_single = static_cast<int64_t>(single_.size());
    const int64_t most = std::clamp<int64_t>(num_single * shape.num_kv_heads / (4 * num_threads), 1,
                                             std::max<int64_t>(1, kQueryRows / shape.group()));
    for (int64_t i = 0; i < num_single;) {
      int64_t count = 1;
      while (i + count < num_single && count < most && single_[i + count]->pages[0] == single_[i]->pages[0]) ++count;
      const std::span<const QuerySegment* const> siblings(&single_[i], static_cast<size_t>(count));
      const int64_t num_shared = count == 1 ? 0 : num_shared_pages(siblings);
      for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
        groups_.push_back({static_cast<int64_t>(tiles_.size()), count, num_shared});
        for (const QuerySegment* segment : siblings) tiles_.push_back({segment, 0, 1, head});
      }
      i += count;
    }
  }

  int64_t num_groups() const { return static_cast<int64_t>(groups_.size()); }
  TileGroup group(int64_t i) const {
    const Range& range = groups_[i];
    return {{&tiles_[range.first], static_cast<size_t>(range.count)}, range.num_shared};
  }

 private:
  // Late rows have more keys: begun first, so that the threads end together.
  void split(const KvShape& shape, const QuerySegment& segment) {
    const int64_t block = rows_per_tile(shape);
    for (int64_t first = (segment.num_rows - 1) / block * block; first >= 0; first -= block) {
      for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
        groups_.push_back({static_cast<int64_t>(tiles_.size()), 1, 0});
        tiles_.push_back({&segment, first, std::min(block, segment.num_rows - first), head});
      }
    }
  }

  struct Range {
    int64_t first, count, num_shared;
  };
  std::vector<QueryTile> tiles_;
  std::vector<Range> groups_;
  std::vector<const QuerySegment*> single_;
};

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
  thread_local AttentionTiles tiles;
  tiles.build(shape, segments, pool.num_threads());
  const AttentionTiles& all = tiles;
  pool.run(all.num_groups(), [&](int64_t i) { GroupAttention(shape, all.group(i), pages).run(q, y); });
}

}  // namespace noregret::kernels
