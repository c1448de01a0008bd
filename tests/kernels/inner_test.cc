#include "kernels/inner.h"

#include "tests/kernels/kernel_cases.h"

namespace noregret::kernels {
namespace {

std::vector<float> exponentials_of(std::vector<float> x) {
  std::vector<float> sums(x.size() / kSamplingTile + 1);
  inner().exponentials(x.data(), static_cast<int64_t>(x.size()), 1.0f, 0.0f, sums.data());
  return x;
}

std::vector<float> steps(double low, double high, int64_t count) {
  std::vector<float> x;
  for (int64_t i = 0; i < count; ++i) x.push_back(static_cast<float>(low + (high - low) * i / (count - 1)));
  return x;
}

std::vector<float> softmax_of(std::vector<float> row, int64_t size, float scale) {
  const auto padded = static_cast<int64_t>(row.size());
  row.push_back(inner().softmax(row.data(), size, padded, scale));
  return row;
}

TEST(Exp, IsWithinOneUlp) {
  const std::vector<float> x = steps(-87.33, 88.36, 200001);
  const std::vector<float> y = same_in_all_settings([&](ThreadPool&) { return exponentials_of(x); });
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    const float below = static_cast<float>(exact);
    const double ulp = std::nextafter(below, kInfinity) - below;
    const double error = std::abs(y[i] - exact) / ulp;
    worst = std::max(worst, error);
    ASSERT_LE(error, 1.0) << "e^" << x[i];
  }
  EXPECT_GT(worst, 0.4) << "no rounded result is that good: the comparison does not see the error";
}

TEST(Exp, IsExactAtZero) {
  const std::vector<float> y = exponentials_of({0.0f, -0.0f});
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 1.0f);
}

TEST(Exp, NeverFallsAsItsArgumentGrowsByWholeSteps) {
  // Steps of 2^-10 change e^x by 0.1 percent, 8000 ulp: a wrong power of 2 at a border of the reduction would show.
  const std::vector<float> y = exponentials_of(steps(-88.0, 88.0, 176 * 1024 + 1));
  for (size_t i = 1; i < y.size(); ++i) ASSERT_LE(y[i - 1], y[i]) << i;
}

TEST(Exp, HasTheRightLimits) {
  const float largest = std::numeric_limits<float>::max();
  const float tiny = std::numeric_limits<float>::denorm_min();
  const std::vector<float> x = {-87.34f, -100.0f, -1e4f,   -largest,  -kInfinity, kNan,  -kNan,  89.0f,
                                100.0f,  1e4f,    largest, kInfinity, tiny,       -tiny, 1e-30f, -1e-30f};
  for (int64_t shift = 0; shift < 17; ++shift) {  // in every lane, of whole vectors and of the last one
    std::vector<float> shifted(static_cast<size_t>(shift), 0.0f);
    shifted.insert(shifted.end(), x.begin(), x.end());
    for_each_setting([&](ThreadPool&) {
      const std::vector<float> y = exponentials_of(shifted);
      const float* e = y.data() + shift;
      for (int i = 0; i < 5; ++i) EXPECT_EQ(std::bit_cast<uint32_t>(e[i]), 0u) << "e^" << x[i] << " is " << e[i];
      for (int i = 5; i < 7; ++i) EXPECT_TRUE(std::isnan(e[i])) << e[i];
      for (int i = 7; i < 12; ++i) EXPECT_GT(e[i], 2e38f) << "e^" << x[i];
      for (int i = 12; i < 16; ++i) EXPECT_EQ(e[i], 1.0f) << "e^" << x[i];
    });
  }
}

TEST(Exp, TilesHaveTheirSums) {
  for (const int64_t size : {1, 15, 16, 255, 256, 257, 511, 513, 1000}) {
    const std::vector<float> x = random_values(size, 3, -4.0f, 0.0f);
    const int64_t num_tiles = (size + kSamplingTile - 1) / kSamplingTile;
    const std::vector<float> result = same_in_all_settings([&](ThreadPool&) {
      std::vector<float> weights = x;
      std::vector<float> sums(static_cast<size_t>(num_tiles) + 1, kCanary);
      inner().exponentials(weights.data(), size, 0.5f, 0.25f, sums.data());
      return joined({weights, sums});
    });
    for (int64_t tile = 0; tile < num_tiles; ++tile) {
      double sum = 0;
      for (int64_t i = tile * kSamplingTile; i < std::min(size, (tile + 1) * kSamplingTile); ++i) {
        sum += result[i];
        EXPECT_NEAR(result[i], std::exp(x[i] / 0.5 - 0.25), 1e-6 * result[i]);  // z has an error of 8 / 2^24
      }
      EXPECT_NEAR(result[size + tile], sum, 20 * kRounding * sum);  // 16 values a lane and a tree of 4
    }
    EXPECT_EQ(result.back(), kCanary);
  }
}

// Each output is one chain of FMAs over all keys, whatever the rows and panels beside it and where the pages lie.
TEST(MultiplyPages, IsOneChainOfFmas) {
  constexpr int64_t kGap = 3;  // floats between a page's rows and those of the next
  for (const int64_t num_panels : {1, 2, 3, 5}) {
    for (const int64_t num_rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 18}) {
      for (const int64_t k : {1, 15, 16, 17, 40, 130}) {
        for (const bool adds : {false, true}) {
          const int64_t num_pages = (k + 15) / 16, width = 16 * num_panels, stride = width + kGap;
          const std::vector<float> weights = random_values(num_rows * k, 1);
          const std::vector<float> values = random_values(num_pages * 16 * stride, 2);
          const std::vector<float> before = random_values(num_rows * width, 3);
          std::vector<const void*> pages;  // the last one lies first
          for (int64_t i = 0; i < num_pages; ++i) pages.push_back(&values[(num_pages - 1 - i) * 16 * stride]);
          std::vector<float> expected = adds ? before : std::vector<float>(before.size(), 0.0f);
          for (int64_t r = 0; r < num_rows; ++r) {
            for (int64_t i = 0; i < k; ++i) {
              const auto* row = static_cast<const float*>(pages[i / 16]) + i % 16 * stride;
              for (int64_t e = 0; e < width; ++e)
                expected[r * width + e] = std::fma(weights[r * k + i], row[e], expected[r * width + e]);
            }
          }
          const std::vector<float> result = same_in_all_settings([&](ThreadPool&) {
            std::vector<float> c = before;
            inner().multiply_pages({.a = weights.data(),
                                    .a_row = k,
                                    .a_k = 1,
                                    .b = pages.data(),
                                    .b_k = stride,
                                    .c = c.data(),
                                    .c_row = width,
                                    .num_rows = num_rows,
                                    .num_panels = num_panels,
                                    .k = k,
                                    .adds = adds});
            return c;
          });
          expect_same_bits(result, expected, cat(num_rows, " rows, ", num_panels, " panels, k = ", k));
        }
      }
    }
  }
}

TEST(Softmax, IsWhatTheFormulaSays) {
  for (const int64_t size : {1, 2, 15, 16, 17, 33, 100, 512, 600}) {
    const int64_t padded = (size + 15) / 16 * 16 + 16;
    for (const float scale : {1.0f, 0.125f, 0.28867513f}) {
      std::vector<float> row = random_values(size, 5, -20.0f, 20.0f);
      const float most = *std::max_element(row.begin(), row.end());
      row.resize(static_cast<size_t>(padded), kNan);  // what no key was multiplied with may be anything
      const std::vector<float> result = same_in_all_settings([&](ThreadPool&) { return softmax_of(row, size, scale); });
      double sum = 0;
      for (int64_t i = 0; i < size; ++i) {
        const double exact = std::exp((static_cast<double>(row[i]) - most) * scale);
        // Scores of up to 20 are rounded before they are subtracted.
        EXPECT_NEAR(result[i], exact, 60 * kRounding * exact) << i << " of " << size;
        sum += result[i];
      }
      for (int64_t i = size; i < padded; ++i) EXPECT_EQ(std::bit_cast<uint32_t>(result[i]), 0u) << i;
      EXPECT_NEAR(result.back(), sum, (size / 16 + 5) * kRounding * sum);
    }
  }
}

TEST(Softmax, HidesNoNan) {
  for (const Isa isa : supported_isas()) {
    const ForcedIsa forced(isa);
    for (const int64_t size : {1, 16, 17, 40}) {
      for (int64_t at = 0; at < size; ++at) {
        for (const float bad : {kNan, kInfinity}) {
          std::vector<float> row = random_values(48, 6);
          row[at] = bad;
          EXPECT_TRUE(std::isnan(softmax_of(row, size, 0.5f).back())) << bad << " at " << at;
        }
      }
    }
  }
}

TEST(Softmax, MinusInfinityHasNoWeight) {
  std::vector<float> row = random_values(32, 7);
  row[3] = row[20] = -kInfinity;
  for_each_setting([&](ThreadPool&) {
    const std::vector<float> y = softmax_of(row, 32, 0.5f);
    EXPECT_EQ(y[3], 0.0f);
    EXPECT_EQ(y[20], 0.0f);
    EXPECT_GT(y.back(), 1.0f);
  });
}

TEST(Dot, IsWithinTheRoundingOfItsSums) {
  for (const int64_t size : {1, 2, 15, 16, 17, 31, 100, 1000}) {
    std::vector<float> a = random_values(size, 8);
    std::vector<float> b = random_values(size, 9);
    const float result =
        same_in_all_settings([&](ThreadPool&) { return std::vector<float>{inner().dot(a.data(), b.data(), size)}; })[0];
    double exact = 0, magnitude = 0;
    for (int64_t i = 0; i < size; ++i) {
      exact += static_cast<double>(a[i]) * b[i];
      magnitude += std::abs(static_cast<double>(a[i]) * b[i]);
    }
    EXPECT_NEAR(result, exact, (size / 16 + 6) * kRounding * magnitude) << size;
  }
}

}  // namespace
}  // namespace noregret::kernels
