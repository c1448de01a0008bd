#include <utility>

#include "tests/kernels/attention_cases.h"

namespace noregret::kernels {
namespace {

const KvShape kShapes[] = {{2, 2, 8}, {4, 2, 24}, {3, 1, 64}, {7, 1, 8}, {8, 1, 24}, {50, 1, 8}, {1, 1, 20}};

struct Batch {
  std::vector<QuerySegment> segments;
  std::vector<SegmentFamily> families;
  int64_t num_rows = 0;

  // A segment whose rows follow those that are there.
  int64_t add_segment(int64_t count, int64_t first_position) {
    segments.push_back({num_rows, count, first_position, nullptr});
    num_rows += count;
    return static_cast<int64_t>(segments.size()) - 1;
  }
  void add_family(int64_t prefix, const std::vector<int64_t>& followers) {
    SegmentFamily family{add_segment(prefix, 0), {}};
    for (const int64_t count : followers) family.followers.push_back(add_segment(count, prefix));
    families.push_back(std::move(family));
  }

  Visible visible() const {
    Visible rows(static_cast<size_t>(num_rows));
    const auto see = [&](const QuerySegment& segment, const QuerySegment* prefix) {
      for (int64_t i = 0; i < segment.num_rows; ++i) {
        std::vector<int64_t>& keys = rows[segment.first_row + i];
        for (int64_t j = 0; prefix != nullptr && j < prefix->num_rows; ++j) keys.push_back(prefix->first_row + j);
        for (int64_t j = 0; j <= i; ++j) keys.push_back(segment.first_row + j);
      }
    };
    for (const SegmentFamily& family : families) {
      see(segments[family.prefix], nullptr);
      for (const int64_t follower : family.followers) see(segments[follower], &segments[family.prefix]);
    }
    return rows;
  }
};

struct Gradients {
  std::vector<float> q, k, v;
};

Gradients gradients_of(ThreadPool& pool, const KvShape& shape, const Batch& batch, const Rows& rows) {
  Gradients grad{std::vector<float>(rows.q.size() + 16, kCanary), std::vector<float>(rows.k.size() + 16, kCanary),
                 std::vector<float>(rows.v.size() + 16, kCanary)};
  attention_backward(pool, shape, batch.segments, batch.families, rows.q.data(), rows.k.data(), rows.v.data(),
                     rows.grad_y.data(), grad.q.data(), grad.k.data(), grad.v.data());
  for (std::vector<float>* values : {&grad.q, &grad.k, &grad.v}) {
    for (int i = 0; i < 16; ++i, values->pop_back()) EXPECT_EQ(values->back(), kCanary);
  }
  return grad;
}

Gradients same_gradients(const KvShape& shape, const Batch& batch, const Rows& rows) {
  Gradients grad;
  same_in_all_settings([&](ThreadPool& pool) {
    grad = gradients_of(pool, shape, batch, rows);
    return joined({grad.q, grad.k, grad.v});
  });
  return grad;
}

// f32 against f64. Weights are right to some 100 roundings (as in the forward pass), a gradient is a sum of as many
// terms of order 1 as rows see a key: `reach` of them.
void expect_near(std::span<const float> grad, const std::vector<double>& exact, double reach, const char* name) {
  ASSERT_EQ(grad.size(), exact.size());
  for (size_t i = 0; i < grad.size(); ++i)
    ASSERT_NEAR(grad[i], exact[i], 100 * kRounding * (1 + reach * 0.1)) << name << " element " << i;
}

void expect_reference(const KvShape& shape, const Batch& batch, const Rows& rows, const Gradients& grad) {
  const ReferenceAttention reference(shape, batch.visible());
  const auto exact = reference.backward(in_f64(rows.q), in_f64(rows.k), in_f64(rows.v), in_f64(rows.grad_y));
  expect_near(grad.q, exact.q, 0, "q");
  expect_near(grad.k, exact.k, static_cast<double>(shape.group()), "k");
  expect_near(grad.v, exact.v, static_cast<double>(shape.group()), "v");
}

TEST(AttentionBackward, OfLoneSegmentsIsTheFormula) {
  for (const KvShape& shape : kShapes) {
    for (const int64_t length : {1, 2, 15, 16, 17, 50}) {
      SCOPED_TRACE(cat(shape.num_heads, "/", shape.num_kv_heads, " heads of ", shape.head_dim, ", ", length, " rows"));
      Batch batch;
      batch.add_family(length, {});
      const Rows rows(shape, length, 401);
      expect_reference(shape, batch, rows, same_gradients(shape, batch, rows));
    }
  }
}

TEST(AttentionBackward, OfFamiliesIsTheFormula) {
  for (const KvShape& shape : kShapes) {
    SCOPED_TRACE(cat(shape.num_heads, "/", shape.num_kv_heads, " heads of ", shape.head_dim));
    Batch batch;
    batch.add_family(19, {17, 1, 33});
    batch.add_family(1, {2, 1});
    batch.add_family(20, {});
    batch.add_family(16, {16, 5});
    const Rows rows(shape, batch.num_rows, 402);
    expect_reference(shape, batch, rows, same_gradients(shape, batch, rows));
  }
}

TEST(AttentionBackward, GivesTheSlopes) {
  const KvShape shape{6, 2, 5};
  Batch batch;
  batch.add_family(5, {3, 2});
  batch.add_family(2, {});
  const Rows rows(shape, batch.num_rows, 403);
  ThreadPool pool(2);
  const Gradients grad = gradients_of(pool, shape, batch, rows);
  const ReferenceAttention reference(shape, batch.visible());
  std::vector<double> q = in_f64(rows.q), k = in_f64(rows.k), v = in_f64(rows.v);
  const auto loss = [&] {
    const std::vector<double> y = reference.forward(q, k, v);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * rows.grad_y[i];
    return sum;
  };
  const auto expect_slopes = [&](std::vector<double>& x, const std::vector<float>& slopes) {
    constexpr double kStep = 1e-5;
    for (size_t i = 0; i < x.size(); ++i) {
      const double kept = x[i];
      x[i] = kept + kStep;
      const double above = loss();
      x[i] = kept - kStep;
      // 1e-8 is the error of the differences; the rest as against the formula.
      ASSERT_NEAR(slopes[i], (above - loss()) / (2 * kStep), 1e-8 + 130 * kRounding) << i;
      x[i] = kept;
    }
  };
  expect_slopes(q, grad.q);
  expect_slopes(k, grad.k);
  expect_slopes(v, grad.v);
}

// A family is the sequences prefix + follower, each on its own; the prefix rows' own loss counts once.
TEST(AttentionBackward, OfAFamilyIsTheSumOverItsSequences) {
  constexpr int64_t kPrefix = 21;
  const std::vector<int64_t> followers = {13, 1, 30};
  for (const KvShape& shape : kShapes) {
    const int64_t q_row = shape.num_heads * shape.head_dim, k_row = shape.num_kv_heads * shape.head_dim;
    ThreadPool pool(2);
    Batch family;
    family.add_family(kPrefix, followers);
    const Rows rows(shape, family.num_rows, 404);
    const Gradients together = gradients_of(pool, shape, family, rows);

    std::vector<double> q(rows.q.size()), k(rows.k.size()), v(rows.v.size());
    for (size_t i = 0; i < followers.size(); ++i) {
      const int64_t first = family.segments[i + 1].first_row;
      Batch lone;
      lone.add_family(kPrefix + followers[i], {});
      // The rows of the sequence, taken from the family's; and back, added.
      const auto take = [&](const std::vector<float>& all, int64_t size) {
        std::vector<float> part(all.begin(), all.begin() + kPrefix * size);
        part.insert(part.end(), all.begin() + first * size, all.begin() + (first + followers[i]) * size);
        return part;
      };
      const auto give = [&](const std::vector<float>& part, int64_t size, std::vector<double>& all) {
        for (int64_t j = 0; j < static_cast<int64_t>(part.size()); ++j)
          all[j < kPrefix * size ? j : j + (first - kPrefix) * size] += part[j];
      };
      Rows sequence(shape, 0, 0);
      sequence.q = take(rows.q, q_row);
      sequence.k = take(rows.k, k_row);
      sequence.v = take(rows.v, k_row);
      sequence.grad_y = take(rows.grad_y, q_row);
      if (i > 0) std::fill_n(sequence.grad_y.begin(), kPrefix * q_row, 0.0f);
      const Gradients grad = gradients_of(pool, shape, lone, sequence);
      give(grad.q, q_row, q);
      give(grad.k, k_row, k);
      give(grad.v, k_row, v);
    }
    expect_near(together.q, q, 0, "q");
    expect_near(together.k, k, static_cast<double>(shape.group()), "k");
    expect_near(together.v, v, static_cast<double>(shape.group()), "v");
  }
}

TEST(AttentionBackward, AFamilyDependsOnItselfAlone) {
  const KvShape shape{6, 2, 24};
  const int64_t q_row = 144, k_row = 48;
  Batch batch, alone;
  batch.add_family(30, {7});
  const int64_t first = batch.num_rows;
  batch.add_family(19, {5, 20});
  const int64_t end = batch.num_rows;
  batch.add_family(3, {});
  alone.add_family(19, {5, 20});
  const Rows rows(shape, batch.num_rows, 405);
  const auto cut = [&](const std::vector<float>& all, int64_t size) {
    return std::vector<float>(all.begin() + first * size, all.begin() + end * size);
  };
  Rows own(shape, 0, 0);
  own.q = cut(rows.q, q_row);
  own.k = cut(rows.k, k_row);
  own.v = cut(rows.v, k_row);
  own.grad_y = cut(rows.grad_y, q_row);
  const Gradients together = same_gradients(shape, batch, rows), expected = same_gradients(shape, alone, own);
  expect_same_bits(cut(together.q, q_row), expected.q, "q");
  expect_same_bits(cut(together.k, k_row), expected.k, "k");
  expect_same_bits(cut(together.v, k_row), expected.v, "v");
}

// Segments may be listed in another order than that of their rows.
TEST(AttentionBackward, FindsRowsWhereTheSegmentsSay) {
  const KvShape shape{4, 2, 8};
  Batch batch;
  batch.segments = {{22, 10, 18, nullptr}, {32, 18, 0, nullptr}, {0, 22, 18, nullptr}, {50, 4, 18, nullptr}};
  batch.num_rows = 54;
  batch.families = {{1, {3, 0, 2}}};
  const Rows rows(shape, batch.num_rows, 406);
  expect_reference(shape, batch, rows, same_gradients(shape, batch, rows));
}

TEST(AttentionBackward, OfSharpScoresIsFinite) {
  const KvShape shape{4, 2, 24};
  Batch batch;
  batch.add_family(19, {17});
  Rows rows(shape, batch.num_rows, 407);
  for (float& value : rows.q) value *= 1000.0f;
  ThreadPool pool(2);
  const Gradients grad = gradients_of(pool, shape, batch, rows);
  for (const float value : joined({grad.q, grad.k, grad.v})) ASSERT_TRUE(std::isfinite(value));
}

TEST(AttentionBackward, HidesNoNan) {
  const KvShape shape{2, 1, 8};
  Batch batch;
  batch.add_family(18, {3});
  ThreadPool pool(1);
  for (int part = 0; part < 4; ++part) {
    Rows rows(shape, batch.num_rows, 408);
    std::vector<float>& values = part == 0 ? rows.q : part == 1 ? rows.k : part == 2 ? rows.v : rows.grad_y;
    values.back() = kNan;  // of the last row
    const Gradients grad = gradients_of(pool, shape, batch, rows);
    EXPECT_TRUE(std::isnan(grad.q.back())) << part;
    EXPECT_TRUE(std::isnan(grad.k[0])) << part;
  }
}

}  // namespace
}  // namespace noregret::kernels
