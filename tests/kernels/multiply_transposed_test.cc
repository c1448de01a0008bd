#include <stdexcept>

#include "tests/kernels/matrix_cases.h"

namespace noregret::kernels {
namespace {

struct OuterCase {
  int64_t num_a, num_b;
};

// c without gaps; a, b and c have rows apart, with NaN or canaries between them.
std::vector<float> outer_of(ThreadPool& pool, int64_t num_rows, OuterCase size, const std::vector<float>& a,
                            const std::vector<float>& b, int64_t gap) {
  const auto [num_a, num_b] = size;
  const std::vector<float> a_rows = with_stride(a, num_a, num_a + gap, kNan);
  const std::vector<float> b_rows = with_stride(b, num_b, num_b + gap, kNan);
  const int64_t stride = num_b + gap;
  std::vector<float> c =
      with_stride(std::vector<float>(static_cast<size_t>(num_a * num_b), kNan), num_b, stride, kCanary);
  c.resize(c.size() + 16, kCanary);
  const Outer outer{a_rows.data(), num_a + gap, num_a, b_rows.data(), num_b + gap, num_b, c.data(), stride};
  multiply_transposed(pool, num_rows, {&outer, 1});
  std::vector<float> dense;
  for (int64_t i = 0; i < static_cast<int64_t>(c.size()); ++i) {
    if (i / stride < num_a && i % stride < num_b) {
      dense.push_back(c[i]);
    } else {
      EXPECT_EQ(c[i], kCanary) << "row " << i / stride << ", column " << i % stride << " of " << num_b;
    }
  }
  return dense;
}

void expect_outer_chains(const std::vector<float>& c, int64_t num_rows, OuterCase size, const std::vector<float>& a,
                         const std::vector<float>& b) {
  for (int64_t i = 0; i < size.num_a; ++i) {
    for (int64_t j = 0; j < size.num_b; ++j) {
      Chain chain;
      for (int64_t r = 0; r < num_rows; ++r) chain.add(a[r * size.num_a + i], b[r * size.num_b + j]);
      ASSERT_NO_FATAL_FAILURE(chain.expect_is(c[i * size.num_b + j], cat("row ", i, ", column ", j)));
    }
  }
}

TEST(MultiplyTransposed, EachElementIsOneChainOverTheRows) {
  ThreadPool pool(2);
  for (const int64_t num_a : {1, 7, 48, 49, 97}) {
    for (const int64_t num_b : {1, 15, 16, 17, 130}) {
      for (const int64_t num_rows : {1, 2, 257}) {
        const std::vector<float> a = random_values(num_rows * num_a, 71);
        const std::vector<float> b = random_values(num_rows * num_b, 72);
        SCOPED_TRACE(cat(num_rows, " rows, ", num_a, " x ", num_b));
        for (const int64_t gap : {0, 3}) {
          const std::vector<float> c = outer_of(pool, num_rows, {num_a, num_b}, a, b, gap);
          ASSERT_NO_FATAL_FAILURE(expect_outer_chains(c, num_rows, {num_a, num_b}, a, b));
        }
      }
    }
  }
}

TEST(MultiplyTransposed, IsTheSameInAllSettings) {
  for (const OuterCase size : {OuterCase{1, 145}, {9, 17}, {50, 33}, {97, 1}}) {
    for (const int64_t num_rows : {1, 256, 600}) {
      const std::vector<float> a = random_values(num_rows * size.num_a, 73);
      const std::vector<float> b = random_values(num_rows * size.num_b, 74);
      const std::vector<float> c =
          same_in_all_settings([&](ThreadPool& pool) { return outer_of(pool, num_rows, size, a, b, 1); });
      expect_outer_chains(c, num_rows, size, a, b);
    }
  }
}

TEST(MultiplyTransposed, TakesManyProducts) {
  constexpr int64_t kNumRows = 70;
  const std::vector<OuterCase> sizes = {{50, 40}, {3, 140}, {1, 1}, {100, 5}};
  std::vector<std::vector<float>> a, b;
  for (size_t i = 0; i < sizes.size(); ++i) {
    a.push_back(random_values(kNumRows * sizes[i].num_a, 80 + i));
    b.push_back(random_values(kNumRows * sizes[i].num_b, 90 + i));
  }
  const std::vector<float> all = same_in_all_settings([&](ThreadPool& pool) {
    std::vector<float> c(50 * 40 + 3 * 140 + 1 + 500, kNan);
    std::vector<Outer> outers;
    float* next = c.data();
    for (size_t i = 0; i < sizes.size(); ++i) {
      const auto [num_a, num_b] = sizes[i];
      outers.push_back({a[i].data(), num_a, num_a, b[i].data(), num_b, num_b, next, num_b});
      next += num_a * num_b;
    }
    multiply_transposed(pool, kNumRows, outers);
    return c;
  });
  size_t first = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto size = static_cast<size_t>(sizes[i].num_a * sizes[i].num_b);
    expect_outer_chains({all.begin() + first, all.begin() + first + size}, kNumRows, sizes[i], a[i], b[i]);
    first += size;
  }
}

TEST(MultiplyTransposed, OfNoRowsIsABug) {
  ThreadPool pool(1);
  float a = 1, b = 1, c = kCanary;
  const Outer outer{&a, 1, 1, &b, 1, 1, &c, 1};
  EXPECT_THROW(multiply_transposed(pool, 0, {&outer, 1}), std::logic_error);
  EXPECT_EQ(c, kCanary);
  multiply_transposed(pool, 0, {});
}

}  // namespace
}  // namespace noregret::kernels
