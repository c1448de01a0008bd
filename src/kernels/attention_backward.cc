#include <algorithm>

#include "kernels/attention_tiles.h"
#include "kernels/inner.h"

namespace noregret::kernels {
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
