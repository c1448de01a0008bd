#include "tests/gpu/gpu_support.h"

namespace noregret::kernels {
namespace {

class LinearOnGpu : public GpuTest {};

struct Skinny {
  int64_t in, out;
  int64_t x_stride() const { return in + 16; }
  int64_t w_stride() const { return in + 24; }
};

// The product's y [rows, out] and 8 elements behind it.
Tensor multiply(const Skinny& s, const Tensor& x, int64_t first, int64_t num_rows, const Tensor& w) {
  const Tensor rows = rows_of(x, first, num_rows, s.x_stride());
  const Tensor y = poisoned(num_rows * s.out + 8, at::kBFloat16);
  cuda::multiply_skinny(stream(), num_rows, s.in, s.out, bf16(rows), s.x_stride(), bf16(w), s.w_stride(), bf16(y));
  return y;
}

void expect_products(const Skinny& s) {
  const std::vector<float> x = bf16_values(cuda::kMaxSkinnyRows * s.in, 71), w = bf16_values(s.out * s.in, 72);
  const Tensor gpu_x = bf16_on_gpu(with_stride(x, s.in, s.x_stride(), kNan));
  const Tensor gpu_w = bf16_on_gpu(with_stride(w, s.in, s.w_stride(), kNan));
  for (int64_t num_rows = 1; num_rows <= cuda::kMaxSkinnyRows; ++num_rows) {
    const std::vector<float> y = widened(multiply(s, gpu_x, 0, num_rows, gpu_w));
    for (int64_t i = 0; i < num_rows * s.out; ++i) {
      const Dot dot(&x[i / s.out * s.in], &w[i % s.out * s.in], s.in);
      ASSERT_NEAR(y[i], dot.value, Dot::tolerance(dot.value, dot.magnitude, s.in))
          << s.in << " to " << s.out << ", " << num_rows << " rows, element " << i;
    }
    for (int64_t i = num_rows * s.out; i < num_rows * s.out + 8; ++i)
      ASSERT_TRUE(std::isnan(y[i])) << "written behind the last row";
  }
}

TEST_F(LinearOnGpu, MultiplySkinnyIsTheProduct) {
  for (const int64_t in : {128, 896, 1536 + 48, 4096, 8960 + 8}) {
    for (const int64_t out : {1, 7, 64, 301}) {
      expect_products({in, out});
      if (HasFatalFailure()) return;
    }
  }
}

// More rows of w than a warp takes the ends of at a time.
TEST_F(LinearOnGpu, MultiplySkinnyOfManyRowsIsTheProduct) { expect_products({256 + 48, 60001}); }

TEST_F(LinearOnGpu, MultiplySkinnyGivesARowTheSameBitsInAnyNumberOfRows) {
  const Skinny s{1536, 301};
  const Tensor x = bf16_on_gpu(with_stride(bf16_values(4 * s.in, 74), s.in, s.x_stride(), kNan));
  const Tensor w = bf16_on_gpu(with_stride(bf16_values(s.out * s.in, 75), s.in, s.w_stride(), kNan));
  for (int64_t num_rows = 2; num_rows <= 4; ++num_rows) {
    const auto run = [&](int64_t first, int64_t count) {
      return from_gpu<uint16_t>(multiply(s, x, first, count, w).narrow(0, 0, count * s.out));
    };
    expect_rows_stand_alone(num_rows, run, cat("of ", num_rows));
  }
}

TEST_F(LinearOnGpu, MultiplySkinnySwigluIsTheProductThenSwiglu) {
  constexpr int64_t kIn = 904;
  for (const int64_t size : {1, 40, 301}) {
    const Tensor x = bf16_on_gpu(bf16_values(4 * kIn, 77)),
                 w = bf16_on_gpu(bf16_values(2 * size * kIn, 78, -0.1f, 0.1f));
    for (int64_t num_rows = 1; num_rows <= cuda::kMaxSkinnyRows; ++num_rows) {
      const Tensor gate_up = poisoned(num_rows * 2 * size, at::kBFloat16),
                   fused = poisoned(num_rows * (size + 8), at::kBFloat16);
      cuda::multiply_skinny(stream(), num_rows, kIn, 2 * size, bf16(x), kIn, bf16(w), kIn, bf16(gate_up));
      cuda::multiply_skinny_swiglu(stream(), num_rows, kIn, size, bf16(x), kIn, bf16(w), kIn, bf16(fused), size + 8);
      const std::vector<float> products = widened(gate_up), results = widened(fused);
      for (int64_t row = 0; row < num_rows; ++row) {
        for (int64_t i = 0; i < size + 8; ++i) {
          const float got = results[row * (size + 8) + i];
          if (i >= size) {
            ASSERT_TRUE(std::isnan(got)) << "written beyond the row";
            continue;
          }
          const double gate = products[row * 2 * size + i], up = products[row * 2 * size + size + i];
          const double want = gate / (1.0 + std::exp(-gate)) * up;
          ASSERT_NEAR(got, want, kBf16Rounding * std::abs(want)) << size << ", row " << row << ", " << i;
        }
      }
    }
  }
}

TEST_F(LinearOnGpu, GatherTokensTakesGivenOrPreviousIds) {
  constexpr int64_t kVocab = 37;
  const std::vector<int32_t> from = {-1, 0, 3, -1, 1, 2, 0}, given = {5, 36, 36, 0, 36, 36, 36};
  const std::vector<int64_t> previous = {7, -1, 36, 11};
  // The -1 that sample() gives for a row that is not finite: any row of the table will do, here as the first.
  const std::vector<int64_t> ids = {5, 7, 11, 0, 0, 36, 7};
  const auto num_rows = static_cast<int64_t>(from.size());
  for (const int64_t size : kSizes) {
    const int64_t stride = size + 48;
    const std::vector<float> table = bf16_values(kVocab * size, 81);
    const Tensor gpu_table = bf16_on_gpu(with_stride(table, size, stride, kNan)), gpu_from = on_gpu(from);
    const Tensor gpu_given = on_gpu(given), gpu_previous = on_gpu(previous);
    const Tensor y = poisoned(num_rows * size + 8, at::kBFloat16);
    cuda::gather_tokens(stream(), num_rows, size, i32(gpu_from), i32(gpu_given), i64(gpu_previous), bf16(gpu_table),
                        stride, bf16(y));
    const std::vector<float> values = widened(y);
    for (int64_t i = 0; i < num_rows * size; ++i)
      ASSERT_EQ(values[i], table[ids[i / size] * size + i % size]) << "size " << size << ", row " << i / size;
    for (int64_t i = num_rows * size; i < num_rows * size + 8; ++i) ASSERT_TRUE(std::isnan(values[i]));
  }
}

// The two masters of a linear, and where their roundings go.
struct Adapted {
  Adapted(int64_t rank, int64_t in, int64_t out, float scaling, uint64_t seed)
      : rank(rank),
        in(in),
        out(out),
        scaling(scaling),
        a(random_values(rank * in, seed)),
        b(random_values(out * rank, seed + 1)),
        gpu_a(on_gpu(a)),
        gpu_b(on_gpu(b)),
        a_rows(poisoned(rank * a_stride(), at::kBFloat16)),
        matrix(poisoned(out * stride(), at::kBFloat16)),
        b_rows(poisoned(out * b_rows_stride(), at::kBFloat16)) {}
  int64_t stride() const { return in + rank + 8; }  // of [weight | b columns | nothing]
  int64_t a_stride() const { return in + 8; }
  int64_t b_rows_stride() const { return rank + 16; }
  cuda::AdapterColumns entry() const {
    return {.a = f32(gpu_a),
            .b = f32(gpu_b),
            .a_rows = bf16(a_rows),
            .b_columns = bf16(matrix) + in,
            .b_rows = bf16(b_rows),
            .rank = rank,
            .in = in,
            .out = out,
            .a_stride = a_stride(),
            .b_stride = stride(),
            .b_rows_stride = b_rows_stride(),
            .scaling = scaling};
  }
  void expect_written() const {
    const std::vector<uint16_t> rows = from_gpu<uint16_t>(a_rows), columns = from_gpu<uint16_t>(matrix);
    for (int64_t i = 0; i < rank * a_stride(); ++i) {
      const int64_t row = i / a_stride(), k = i % a_stride();
      if (k < in) {
        ASSERT_EQ(rows[i], round_to_bf16(a[row * in + k])) << "a, row " << row << ", " << k;
      } else {
        ASSERT_TRUE(std::isnan(widen(rows[i]))) << "behind a's row " << row;
      }
    }
    const std::vector<float> b_again = without_gaps(b_rows, rank, b_rows_stride());
    for (int64_t i = 0; i < out * rank; ++i) ASSERT_EQ(b_again[i], widen(round_to_bf16(scaling * b[i]))) << "b's rows";
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < stride(); ++i) {
        const uint16_t value = columns[o * stride() + i];
        const int64_t r = i - in;
        if (r < 0 || r >= rank) {
          ASSERT_TRUE(std::isnan(widen(value))) << "outside b's columns, " << o << ", " << i;
        } else {
          ASSERT_EQ(value, round_to_bf16(scaling * b[o * rank + r])) << "b, " << o << ", " << r;
        }
      }
    }
  }

  int64_t rank, in, out;
  float scaling;
  std::vector<float> a, b;
  Tensor gpu_a, gpu_b, a_rows, matrix, b_rows;
};

TEST_F(LinearOnGpu, WriteAdaptersRoundsTheMastersIntoPlace) {
  const std::vector<Adapted> linears = {
      {8, 128, 96, 2.0f, 91}, {48, 896, 1536, 0.3f, 93}, {16, 1536, 301, 1.0f, 95}, {8, 8960, 896, 32.0f / 48, 97}};
  std::vector<cuda::AdapterColumns> entries;
  for (const Adapted& linear : linears) entries.push_back(linear.entry());
  while (entries.size() < 11) entries.push_back(entries.back());  // more than one launch takes
  cuda::write_adapters(stream(), static_cast<int64_t>(entries.size()), entries.data());
  for (const Adapted& linear : linears) {
    SCOPED_TRACE(cat("rank ", linear.rank, ", ", linear.in, " to ", linear.out));
    linear.expect_written();
  }
}

}  // namespace
}  // namespace noregret::kernels
