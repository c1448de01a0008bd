#pragma once

#include <ATen/ops/zeros.h>

#include "noregret/kernels/attention.h"
#include "tests/gpu/gpu_support.h"

namespace noregret::kernels {

inline constexpr int64_t kLongest = 1040;  // three splits
inline constexpr int64_t kSparePages = 5;

// Consecutive positions of a sequence; those before the first are a prefix of sequence 0, whose full pages it reads.
struct Sequence {
  int64_t first_position, num_rows;
};

// [positions, head_dim / 2] pairs (cos, sin). Without turns, every angle is 0.
inline std::vector<float> rotary_table(int64_t head_dim, bool turns) {
  std::vector<float> table;
  for (int64_t position = 0; position < kLongest; ++position) {
    for (int64_t i = 0; i < head_dim / 2; ++i) {
      const double angle =
          turns ? static_cast<double>(position) * std::pow(10000.0, -2.0 * static_cast<double>(i) / head_dim) : 0.0;
      table.push_back(static_cast<float>(std::cos(angle)));
      table.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return table;
}

struct Attended {
  Tensor y, lse;
};

// Rows of several sequences, on the host and on the device. Page 0 belongs to no sequence, but stands in every unused
// place of the tables; it and all positions that no row writes hold 1e30, whose scores and values nothing may show.
class Batch {
 public:
  Batch(const KvShape& shape, const std::vector<Sequence>& sequences, uint64_t seed)
      : shape_(shape),
        gpu_shape_{.num_heads = shape.num_heads, .num_kv_heads = shape.num_kv_heads, .head_dim = shape.head_dim},
        max_pages_(pages_for(kLongest) + 3),
        tables(sequences.size() * static_cast<size_t>(max_pages_), 0) {
    int64_t num_pages = 1 + kSparePages;
    for (const Sequence& s : sequences) num_pages += pages_for(s.num_rows);
    num_pages_ = num_pages;
    const std::vector<int64_t> shuffled = permutation(num_pages - 1, Rng(seed));
    size_t next = 0;
    for (size_t s = 0; s < sequences.size(); ++s) {
      const Sequence& sequence = sequences[s];
      int32_t* table = &tables[s * static_cast<size_t>(max_pages_)];
      const int64_t num_shared = sequence.first_position / kPageSize;
      for (int64_t page = 0; page < num_shared; ++page) table[page] = tables[static_cast<size_t>(page)];
      for (int64_t page = num_shared; page < pages_for(sequence.first_position + sequence.num_rows); ++page)
        table[page] = static_cast<int32_t>(1 + shuffled[next++]);
      segments.push_back({num_rows(), sequence.num_rows, sequence.first_position, table});
      for (int64_t i = 0; i < sequence.num_rows; ++i) {
        row_sequences.push_back(static_cast<int32_t>(s));
        positions.push_back(static_cast<int32_t>(sequence.first_position + i));
      }
    }
    qkv = bf16_values(num_rows() * width(), seed + 1, -2.0f, 2.0f);
    for (int64_t i = 0; i < num_rows() * width(); ++i) {
      if (i % width() >= q_width() + kv_width()) qkv[i] *= 0.5f;  // values in [-1, 1)
    }
    gpu_qkv = bf16_on_gpu(qkv);
    gpu_positions = on_gpu(positions);
    gpu_sequences = on_gpu(row_sequences);
    gpu_tables = on_gpu(tables);
    keys = at::full({num_pages * gpu_shape_.page_size()}, 1e30, at::TensorOptions(kGpu).dtype(at::kBFloat16));
    values = keys.clone();
  }

  static int64_t pages_for(int64_t length) { return (length + kPageSize - 1) / kPageSize; }
  int64_t num_rows() const { return static_cast<int64_t>(positions.size()); }
  int64_t q_width() const { return shape_.num_heads * shape_.head_dim; }
  int64_t kv_width() const { return shape_.num_kv_heads * shape_.head_dim; }
  int64_t width() const { return q_width() + 2 * kv_width(); }
  int64_t num_pages() const { return num_pages_; }
  int64_t max_pages() const { return max_pages_; }
  const KvShape& shape() const { return shape_; }
  const cuda::KvShape& gpu_shape() const { return gpu_shape_; }
  // Columns [first, first + count) of every row.
  static std::vector<float> columns(const std::vector<float>& rows, int64_t width, int64_t first, int64_t count) {
    std::vector<float> part;
    for (size_t at = 0; at < rows.size(); at += static_cast<size_t>(width))
      part.insert(part.end(), &rows[at] + first, &rows[at] + first + count);
    return part;
  }

  cuda::PageTables page_tables(const Tensor& all_tables, const Tensor& of_rows) const {
    return {.pages = i32(all_tables), .max_pages = max_pages_, .sequences = i32(of_rows)};
  }
  // Turns the rows in place and writes their keys and values to their pages.
  void turn_and_store(const std::vector<float>& table) {
    const Tensor gpu_table = on_gpu(table);
    cuda::rotary(stream(), num_rows(), gpu_shape_, bf16(gpu_qkv), i32(gpu_positions), f32(gpu_table),
                 page_tables(gpu_tables, gpu_sequences), bf16(keys), bf16(values));
  }
  static constexpr int64_t kGap = 8;
  Tensor scratch(int64_t num_rows, int64_t max_length) const {
    return at::zeros({cuda::attention_scratch_bytes(num_rows, gpu_shape_, max_length)},
                     at::TensorOptions(kGpu).dtype(at::kByte));
  }
  // With kGap elements behind each row of y.
  Attended attend(const Tensor& rows, const Tensor& at_positions, const Tensor& all_tables, const Tensor& of_rows,
                  int64_t max_length, const Tensor& scratch) const {
    const int64_t count = at_positions.numel(), stride = q_width() + kGap;
    Attended result{poisoned(count * stride, at::kBFloat16), poisoned(count * shape_.num_heads, at::kFloat)};
    cuda::attention(stream(), count, gpu_shape_, bf16(rows), i32(at_positions), page_tables(all_tables, of_rows),
                    bf16(keys), bf16(values), max_length, scratch.data_ptr(), bf16(result.y), stride, f32(result.lse));
    return result;
  }
  Attended attend(int64_t max_length) const {
    return attend(gpu_qkv, gpu_positions, gpu_tables, gpu_sequences, max_length, scratch(num_rows(), max_length));
  }
  std::vector<float> y_of(const Attended& attended) const {
    const std::vector<float> padded = widened(attended.y);
    for (const float gap : columns(padded, q_width() + kGap, q_width(), kGap)) EXPECT_TRUE(std::isnan(gap));
    return columns(padded, q_width() + kGap, 0, q_width());
  }
  // The row that wrote a position of a sequence.
  int64_t row_at(size_t sequence, int64_t position) const {
    const QuerySegment& own = segments[position < segments[sequence].first_position ? 0 : sequence];
    return own.first_row + position - own.first_position;
  }

 private:
  KvShape shape_;
  cuda::KvShape gpu_shape_;
  int64_t max_pages_, num_pages_ = 0;

 public:
  std::vector<int32_t> tables, row_sequences, positions;
  std::vector<QuerySegment> segments;
  std::vector<float> qkv;
  Tensor gpu_qkv, gpu_positions, gpu_sequences, gpu_tables, keys, values;
};

inline KvShape make_shape(int64_t num_kv_heads, int64_t group, int64_t head_dim) {
  return {.num_heads = num_kv_heads * group, .num_kv_heads = num_kv_heads, .head_dim = head_dim};
}

}  // namespace noregret::kernels
