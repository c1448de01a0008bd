#include "noregret/kernels/attention.h"

#include <numeric>

#include "tests/kernels/attention_cases.h"

namespace noregret::kernels {
namespace {

// Groups of 1, 2, 3, 7 and 8 heads; heads of less than a vector, between vectors and of whole ones. 50 heads of one key
// head are more than the kernel takes in one go.
const KvShape kShapes[] = {{2, 2, 8}, {4, 2, 24}, {3, 1, 64}, {7, 1, 8}, {8, 1, 24}, {50, 1, 8}, {1, 1, 20}};

// Pages full of NaN, which no result may show.
class PageMemory {
 public:
  PageMemory(const KvShape& shape, int64_t num_pages)
      : keys_(static_cast<size_t>(num_pages * shape.key_page()), kNan),
        values_(static_cast<size_t>(num_pages * shape.value_page()), kNan) {}
  KvPages pages() { return {keys_.data(), values_.data()}; }

 private:
  std::vector<float> keys_, values_;
};

std::vector<int32_t> page_order(int64_t num_pages, int64_t step) {
  std::vector<int32_t> pages;
  for (int64_t i = 0; i < num_pages; ++i) pages.push_back(static_cast<int32_t>((i * step + step / 2) % num_pages));
  return pages;
}

// A sequence that comes in chunks, each appended and attended in a call of its own.
std::vector<float> attend_in_chunks(ThreadPool& pool, const KvShape& shape, const Rows& rows,
                                    const std::vector<int64_t>& chunks, const std::vector<int32_t>& table,
                                    PageMemory& memory, int64_t first_position = 0) {
  const int64_t q_row = shape.num_heads * shape.head_dim, k_row = shape.num_kv_heads * shape.head_dim;
  std::vector<float> y;
  int64_t position = first_position;
  for (const int64_t count : chunks) {
    const QuerySegment segment{0, count, position, table.data()};
    append_to_pages(pool, shape, {&segment, 1}, &rows.k[position * k_row], &rows.v[position * k_row], memory.pages());
    std::vector<float> part(static_cast<size_t>(count * q_row) + 16, kCanary);
    attention(pool, shape, {&segment, 1}, &rows.q[position * q_row], memory.pages(), part.data());
    for (int i = 0; i < 16; ++i, part.pop_back()) EXPECT_EQ(part.back(), kCanary);
    y.insert(y.end(), part.begin(), part.end());
    position += count;
  }
  return y;
}

int64_t num_pages_of(int64_t length) { return (length + kPageSize - 1) / kPageSize; }

std::vector<float> prefill(ThreadPool& pool, const KvShape& shape, const Rows& rows, int64_t length) {
  PageMemory memory(shape, num_pages_of(length));
  return attend_in_chunks(pool, shape, rows, {length}, page_order(num_pages_of(length), 1), memory);
}

void expect_near(std::span<const float> y, const std::vector<double>& exact, double tolerance) {
  ASSERT_EQ(y.size(), exact.size());
  for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], exact[i], tolerance) << "element " << i;
}

TEST(Attention, IsWhatTheFormulaSays) {
  for (const KvShape& shape : kShapes) {
    for (const int64_t length : {1, 15, 16, 17, 70}) {
      SCOPED_TRACE(cat(shape.num_heads, "/", shape.num_kv_heads, " heads of ", shape.head_dim, ", ", length, " rows"));
      const Rows rows(shape, length, 301);
      const std::vector<float> y =
          same_in_all_settings([&](ThreadPool& pool) { return prefill(pool, shape, rows, length); });
      const std::vector<double> exact =
          ReferenceAttention(shape, causal(length)).forward(in_f64(rows.q), in_f64(rows.k), in_f64(rows.v));
      // Scores below 4 sqrt(head_dim) <= 32 and their chains: 64 roundings of terms that grow as the root of their
      // number; so the weights are right to some 100 roundings, and the values are below 1.
      expect_near(y, exact, 100 * kRounding);
    }
  }
}

TEST(Attention, SharpScoresPickOneValue) {
  const KvShape shape{4, 2, 24};
  Rows rows(shape, 40, 302);
  for (float& value : rows.q) value *= 200.0f;
  ThreadPool pool(2);
  const std::vector<float> y = prefill(pool, shape, rows, 40);
  const std::vector<double> exact =
      ReferenceAttention(shape, causal(40)).forward(in_f64(rows.q), in_f64(rows.k), in_f64(rows.v));
  expect_near(y, exact, 24 * 4000 * kRounding);  // scores of up to 4000 with a relative error of some roundings
}

// One prefill, chunks of any size and single rows (as decoding has them): the same bits, wherever the pages lie.
TEST(Attention, ARowDependsOnItsSequenceAlone) {
  constexpr int64_t kLength = 53;
  const std::vector<std::vector<int64_t>> cuts = {
      {53}, std::vector<int64_t>(53, 1), {16, 16, 21}, {5, 48}, {52, 1}, {1, 52}, {17, 1, 1, 34}};
  for (const KvShape& shape : kShapes) {
    const Rows rows(shape, kLength, 303);
    const std::vector<float> whole =
        same_in_all_settings([&](ThreadPool& pool) { return prefill(pool, shape, rows, kLength); });
    for_each_setting([&](ThreadPool& pool) {
      for (size_t i = 0; i < cuts.size(); ++i) {
        PageMemory memory(shape, 5);
        const std::vector<int32_t> table = page_order(5, 4 - static_cast<int64_t>(i) % 4);
        expect_same_bits(attend_in_chunks(pool, shape, rows, cuts[i], table, memory), whole, cat("cut ", i));
      }
    });
  }
}

// 21 positions that two sequences share: a page of both, and one that is copied as far as it is filled.
TEST(Attention, GoesOnFromSharedPages) {
  constexpr int64_t kShared = 21, kLength = 50;
  for (const KvShape& shape : kShapes) {
    const int64_t q_row = shape.num_heads * shape.head_dim, k_row = shape.num_kv_heads * shape.head_dim;
    const Rows first(shape, kLength, 304);
    Rows second(shape, kLength, 305);
    std::copy_n(first.q.begin(), kShared * q_row, second.q.begin());
    std::copy_n(first.k.begin(), kShared * k_row, second.k.begin());
    std::copy_n(first.v.begin(), kShared * k_row, second.v.begin());
    for_each_setting([&](ThreadPool& pool) {
      const std::vector<float> first_alone = prefill(pool, shape, first, kLength);
      const std::vector<float> second_alone = prefill(pool, shape, second, kLength);
      PageMemory memory(shape, 8);
      const std::vector<int32_t> first_table = {3, 6, 1, 0}, second_table = {3, 2, 7, 4};
      const std::vector<float> shared = attend_in_chunks(pool, shape, first, {kShared}, first_table, memory);
      copy_page(shape, memory.pages(), 6, 2, kShared - kPageSize);
      const std::vector<float> first_rest = attend_in_chunks(pool, shape, first, {1, 28}, first_table, memory, kShared);
      const std::vector<float> second_rest =
          attend_in_chunks(pool, shape, second, {20, 9}, second_table, memory, kShared);
      expect_same_bits(joined({shared, first_rest}), first_alone, "the sequence that was there");
      expect_same_bits(second_rest, std::span(second_alone).subspan(kShared * q_row), "the one that goes on");
    });
  }
}

// One new row each of many sequences, as in decoding: some share two pages, some one, some none, and they come mixed.
TEST(Attention, ReadsPagesOfSiblingsOnceWithTheBitsOfEachAlone) {
  constexpr int64_t kNumSequences = 24, kPagesOfEach = 3;
  for (const KvShape& shape : kShapes) {
    const int64_t q_row = shape.num_heads * shape.head_dim, k_row = shape.num_kv_heads * shape.head_dim;
    std::vector<Rows> sequences;
    std::vector<int64_t> lengths;
    std::vector<std::vector<int32_t>> tables;
    for (int64_t i = 0; i < kNumSequences; ++i) {
      Rows rows(shape, kPagesOfEach * kPageSize, 900 + static_cast<unsigned>(i));
      const int64_t num_shared = i % 3;  // pages that are those of sequence 0
      if (i > 0) {
        std::copy_n(sequences[0].k.begin(), num_shared * kPageSize * k_row, rows.k.begin());
        std::copy_n(sequences[0].v.begin(), num_shared * kPageSize * k_row, rows.v.begin());
      }
      sequences.push_back(std::move(rows));
      lengths.push_back(num_shared * kPageSize + 1 + (i * 5) % 13);
      std::vector<int32_t>& table = tables.emplace_back();
      for (int64_t page = 0; page < kPagesOfEach; ++page)
        table.push_back(static_cast<int32_t>(page < num_shared ? page : (i + 1) * kPagesOfEach + page));
    }
    for_each_setting([&](ThreadPool& pool) {
      PageMemory memory(shape, (kNumSequences + 1) * kPagesOfEach);
      const QuerySegment prefix{0, 2 * kPageSize, 0, tables[2].data()};
      append_to_pages(pool, shape, {&prefix, 1}, sequences[0].k.data(), sequences[0].v.data(), memory.pages());
      std::vector<QuerySegment> last_rows;
      std::vector<float> q;
      for (int64_t i = 0; i < kNumSequences; ++i) {
        const int64_t first = i % 3 * kPageSize;
        const QuerySegment own{0, lengths[i] - first, first, tables[i].data()};
        append_to_pages(pool, shape, {&own, 1}, &sequences[i].k[first * k_row], &sequences[i].v[first * k_row],
                        memory.pages());
        last_rows.push_back({i, 1, lengths[i] - 1, tables[i].data()});
        q.insert(q.end(), &sequences[i].q[(lengths[i] - 1) * q_row], &sequences[i].q[lengths[i] * q_row]);
      }
      std::vector<float> y(q.size());
      attention(pool, shape, last_rows, q.data(), memory.pages(), y.data());
      for (int64_t i = 0; i < kNumSequences; ++i) {
        const std::vector<float> alone = prefill(pool, shape, sequences[i], lengths[i]);
        expect_same_bits(std::span(y).subspan(i * q_row, q_row),
                         std::span(alone).subspan((lengths[i] - 1) * q_row, q_row), cat("sequence ", i));
      }
    });
  }
}

TEST(Attention, CopiesTheFirstPositionsOfAPage) {
  const KvShape shape{2, 2, 5};
  for (const int64_t count : {0, 1, 7, 16}) {
    std::vector<float> keys = random_values(3 * shape.key_page(), 306);
    std::vector<float> values = random_values(3 * shape.value_page(), 307);
    const std::vector<float> old_keys = keys, old_values = values;
    copy_page(shape, {keys.data(), values.data()}, 2, 0, count);
    for (int64_t i = 0; i < 3 * shape.key_page(); ++i) {
      const bool is_copied = i < shape.key_page() && i % kPageSize < count;
      EXPECT_EQ(keys[i], is_copied ? old_keys[i + 2 * shape.key_page()] : old_keys[i]) << "key " << i;
    }
    for (int64_t i = 0; i < 3 * shape.value_page(); ++i) {
      const bool is_copied = i < shape.value_page() && i / shape.padded_dim() % kPageSize < count;
      EXPECT_EQ(values[i], is_copied ? old_values[i + 2 * shape.value_page()] : old_values[i]) << "value " << i;
    }
  }
}

// A batch of rows of many sequences, some of which have begun before; the segments lie in any order.
TEST(Attention, BatchesSegmentsOfManySequences) {
  struct Part {
    int64_t length, num_done, first_row;
  };
  const std::vector<Part> parts = {{40, 0, 70}, {33, 32, 0}, {110, 50, 1}, {16, 0, 110}, {5, 4, 126}, {25, 16, 61}};
  constexpr int64_t kNumRows = 127, kNumPages = 20;
  for (const KvShape& shape : kShapes) {
    const int64_t q_row = shape.num_heads * shape.head_dim, k_row = shape.num_kv_heads * shape.head_dim;
    std::vector<Rows> rows;
    for (size_t i = 0; i < parts.size(); ++i) rows.emplace_back(shape, parts[i].length, 310 + 10 * i);
    std::vector<float> expected(static_cast<size_t>(kNumRows * q_row), kCanary);
    {
      ThreadPool one(1);
      for (size_t i = 0; i < parts.size(); ++i) {
        const std::vector<float> y = prefill(one, shape, rows[i], parts[i].length);
        std::copy(y.begin() + parts[i].num_done * q_row, y.end(), expected.begin() + parts[i].first_row * q_row);
      }
    }
    for_each_setting([&](ThreadPool& pool) {
      PageMemory memory(shape, kNumPages);
      Rows batch(shape, kNumRows, 1);
      std::vector<std::vector<int32_t>> tables;
      std::vector<QuerySegment> segments;
      std::vector<int32_t> free = page_order(kNumPages, 7);
      for (size_t i = 0; i < parts.size(); ++i) {
        const auto& [length, num_done, first_row] = parts[i];
        tables.emplace_back(free.end() - num_pages_of(length), free.end());
        free.resize(free.size() - num_pages_of(length));
        if (num_done > 0) attend_in_chunks(pool, shape, rows[i], {num_done}, tables[i], memory);
        std::copy(rows[i].q.begin() + num_done * q_row, rows[i].q.end(), batch.q.begin() + first_row * q_row);
        std::copy(rows[i].k.begin() + num_done * k_row, rows[i].k.end(), batch.k.begin() + first_row * k_row);
        std::copy(rows[i].v.begin() + num_done * k_row, rows[i].v.end(), batch.v.begin() + first_row * k_row);
        segments.push_back({first_row, length - num_done, num_done, tables[i].data()});
      }
      append_to_pages(pool, shape, segments, batch.k.data(), batch.v.data(), memory.pages());
      std::vector<float> y(expected.size(), kCanary);
      attention(pool, shape, segments, batch.q.data(), memory.pages(), y.data());
      expect_same_bits(y, expected, cat(shape.num_heads, " heads of ", shape.head_dim));
    });
  }
}

TEST(Attention, TakesAnEmptyBatch) {
  const KvShape shape{2, 1, 8};
  PageMemory memory(shape, 1);
  ThreadPool pool(2);
  float y = kCanary;
  append_to_pages(pool, shape, {}, nullptr, nullptr, memory.pages());
  attention(pool, shape, {}, nullptr, memory.pages(), &y);
  const QuerySegment empty{0, 0, 0, nullptr};
  append_to_pages(pool, shape, {&empty, 1}, nullptr, nullptr, memory.pages());
  attention(pool, shape, {&empty, 1}, nullptr, memory.pages(), &y);
  EXPECT_EQ(y, kCanary);
}

// What is not finite shows in the rows that see it, and in no row before it that is computed on its own.
TEST(Attention, HidesNoNan) {
  const KvShape shape{6, 2, 8};
  const int64_t q_row = 48, k_row = 16;
  for (const bool in_keys : {true, false}) {
    Rows rows(shape, 40, 330);
    (in_keys ? rows.k : rows.v)[20 * k_row + 8 + 3] = kNan;  // of the second key head
    for_each_setting([&](ThreadPool& pool) {
      PageMemory memory(shape, 3);
      const std::vector<float> y =
          attend_in_chunks(pool, shape, rows, std::vector<int64_t>(40, 1), page_order(3, 2), memory);
      for (int64_t i = 0; i < 40 * q_row; ++i) {
        const bool is_bad = i / q_row >= 20 && i % q_row >= 24 && (in_keys || i % 8 == 3);
        ASSERT_EQ(std::isnan(y[i]), is_bad) << "row " << i / q_row << ", column " << i % q_row;
      }
    });
  }
}

}  // namespace
}  // namespace noregret::kernels
