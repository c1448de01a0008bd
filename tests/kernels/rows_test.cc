#include "noregret/kernels/rows.h"

#include <complex>
#include <functional>

#include "tests/kernels/kernel_cases.h"

namespace noregret::kernels {
namespace {

// Sizes on both sides of vectors of 16, and rows enough for several tasks (8192 elements each).
constexpr std::pair<int64_t, int64_t> kShapes[] = {{1, 1},  {3, 8},   {2, 15},   {5, 16},  {4, 17},
                                                   {7, 31}, {3, 100}, {40, 576}, {9, 1000}};

std::vector<double> in_f64(std::span<const float> values) { return {values.begin(), values.end()}; }

// Central differences of a function of f64 values. The error of h = 1e-5 is about 1e-10 for functions of order 1.
std::vector<double> slopes_of(const std::function<double(const std::vector<double>&)>& function,
                              std::vector<double> x) {
  constexpr double kStep = 1e-5;
  std::vector<double> slopes;
  for (double& value : x) {
    const double kept = value;
    value = kept + kStep;
    const double above = function(x);
    value = kept - kStep;
    slopes.push_back((above - function(x)) / (2 * kStep));
    value = kept;
  }
  return slopes;
}

double inverse_of(std::span<const double> x, double eps) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return 1.0 / std::sqrt(sum / static_cast<double>(x.size()) + eps);
}

TEST(RmsNorm, IsWhatTheFormulaSays) {
  for (const auto& [num_rows, size] : kShapes) {
    const std::vector<float> x = random_values(num_rows * size, 101, -3.0f, 3.0f);
    const std::vector<float> weight = random_values(size, 102);
    const std::vector<float> result = same_in_all_settings([&, num_rows = num_rows, size = size](ThreadPool& pool) {
      std::vector<float> y(x.size() + 16, kCanary), inverse(static_cast<size_t>(num_rows) + 1, kCanary);
      rms_norm(pool, num_rows, size, x.data(), weight.data(), 1e-5f, y.data(), inverse.data());
      return joined({y, inverse});
    });
    // Half the relative error of the sum of squares, and six roundings more.
    const double tolerance = (size / 32 + 9) * kRounding;
    for (int64_t r = 0; r < num_rows; ++r) {
      const double inverse = inverse_of(in_f64(std::span(x).subspan(r * size, size)), 1e-5f);
      EXPECT_NEAR(result[x.size() + 16 + r], inverse, tolerance * inverse);
      for (int64_t i = 0; i < size; ++i) {
        const double exact = x[r * size + i] * inverse * weight[i];
        ASSERT_NEAR(result[r * size + i], exact, tolerance * std::abs(exact)) << "row " << r << " element " << i;
      }
    }
    for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(result[x.size() + i], kCanary);
    EXPECT_EQ(result.back(), kCanary);
  }
}

TEST(RmsNorm, NeedsNoPlaceForTheInverse) {
  ThreadPool pool(1);
  const std::vector<float> x = {3.0f, 4.0f}, weight = {1.0f, 2.0f};
  std::vector<float> y(2);
  rms_norm(pool, 1, 2, x.data(), weight.data(), 0.0f, y.data(), nullptr);
  EXPECT_NEAR(y[0], 3.0 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(y[1], 8.0 / std::sqrt(12.5), 1e-6);
}

TEST(RmsNorm, BadRowsStayAlone) {
  std::vector<float> x = random_values(5 * 20, 103);
  x[1 * 20 + 19] = kNan;
  x[3 * 20] = 3e38f;  // its square is infinite
  const std::vector<float> weight(20, 1.0f);
  for_each_setting([&](ThreadPool& pool) {
    std::vector<float> y(x.size());
    rms_norm(pool, 5, 20, x.data(), weight.data(), 1e-6f, y.data(), nullptr);
    for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(std::isnan(y[i]), i / 20 == 1) << i;
  });
}

TEST(RmsNorm, OfZerosIsZero) {
  ThreadPool pool(1);
  const std::vector<float> x(33, 0.0f), weight(33, 1.0f);
  std::vector<float> y(33, kNan);
  rms_norm(pool, 1, 33, x.data(), weight.data(), 1e-6f, y.data(), nullptr);
  for (const float value : y) EXPECT_EQ(value, 0.0f);
}

TEST(RmsNormBackward, AddsTheSlopes) {
  for (const auto& [num_rows, size] : kShapes) {
    if (size > 100) continue;
    const std::vector<float> x = random_values(num_rows * size, 104, -2.0f, 2.0f);
    const std::vector<float> weight = random_values(size, 105), grad_y = random_values(num_rows * size, 106);
    const std::vector<float> start = random_values(num_rows * size, 107);
    std::vector<float> inverse;
    for (int64_t r = 0; r < num_rows; ++r)
      inverse.push_back(static_cast<float>(inverse_of(in_f64(std::span(x).subspan(r * size, size)), 1e-3f)));
    const std::vector<float> result = same_in_all_settings([&, num_rows = num_rows, size = size](ThreadPool& pool) {
      std::vector<float> grad = start;
      grad.resize(grad.size() + 16, kCanary);
      rms_norm_backward(pool, num_rows, size, x.data(), weight.data(), inverse.data(), grad_y.data(), grad.data());
      return grad;
    });
    for (int64_t r = 0; r < num_rows; ++r) {
      const auto loss = [&, size = size](const std::vector<double>& row) {
        double sum = 0;
        for (int64_t i = 0; i < size; ++i) sum += grad_y[r * size + i] * row[i] * weight[i];
        return sum * inverse_of(row, 1e-3f);
      };
      const std::vector<double> slopes = slopes_of(loss, in_f64(std::span(x).subspan(r * size, size)));
      // Terms of about 2 r, each with some ten roundings; 1e-7 is the error of the differences.
      for (int64_t i = 0; i < size; ++i)
        ASSERT_NEAR(result[r * size + i] - start[r * size + i], slopes[i], 1e-7 + 30 * kRounding * (1 + inverse[r]));
    }
    for (size_t i = start.size(); i < result.size(); ++i) EXPECT_EQ(result[i], kCanary);
  }
}

TEST(RmsNormBackward, OfLongRowsIsTheFormula) {
  const int64_t num_rows = 20, size = 1000;  // several tasks
  const std::vector<float> x = random_values(num_rows * size, 108), grad_y = random_values(num_rows * size, 109);
  const std::vector<float> weight = random_values(size, 110), inverse = random_values(num_rows, 111, 0.5f, 2.0f);
  const std::vector<float> result = same_in_all_settings([&](ThreadPool& pool) {
    std::vector<float> grad(x.size(), 0.0f);
    rms_norm_backward(pool, num_rows, size, x.data(), weight.data(), inverse.data(), grad_y.data(), grad.data());
    return grad;
  });
  for (int64_t r = 0; r < num_rows; ++r) {
    const double factor = inverse[r];
    double mean = 0;
    for (int64_t i = 0; i < size; ++i)
      mean += static_cast<double>(grad_y[r * size + i]) * weight[i] * x[r * size + i] * factor / size;
    for (int64_t i = 0; i < size; ++i) {
      const double exact =
          factor * (static_cast<double>(grad_y[r * size + i]) * weight[i] - x[r * size + i] * factor * mean);
      ASSERT_NEAR(result[r * size + i], exact, 16 * kRounding * factor);  // terms below 1, few roundings each
    }
  }
}

TEST(RmsNormWeightGradient, AddsRowAfterRow) {
  for (const auto& [num_rows, size] : kShapes) {
    const std::vector<float> x = random_values(num_rows * size, 112), grad_y = random_values(num_rows * size, 113);
    const std::vector<float> inverse = random_values(num_rows, 114, 0.5f, 2.0f), start = random_values(size, 115);
    std::vector<float> grad = start;
    rms_norm_weight_gradient(num_rows, size, x.data(), inverse.data(), grad_y.data(), grad.data());
    for (int64_t i = 0; i < size; ++i) {
      float in_order = start[i];
      double exact = start[i];
      for (int64_t r = 0; r < num_rows; ++r) {
        const float product = grad_y[r * size + i] * (x[r * size + i] * inverse[r]);
        in_order += product;
        exact += static_cast<double>(grad_y[r * size + i]) * x[r * size + i] * inverse[r];
      }
      ASSERT_EQ(grad[i], in_order);
      ASSERT_NEAR(grad[i], exact, (num_rows + 3) * kRounding * (num_rows * 2 + 1));
    }
  }
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

TEST(Swiglu, IsWhatTheFormulaSays) {
  for (const auto& [num_rows, size] : kShapes) {
    const std::vector<float> gate = random_values(num_rows * size, 121, -30.0f, 30.0f);
    const std::vector<float> up = random_values(num_rows * size, 122, -2.0f, 2.0f);
    const std::vector<float> y = same_in_all_settings([&, num_rows = num_rows, size = size](ThreadPool& pool) {
      std::vector<float> result(gate.size() + 16, kCanary);
      swiglu(pool, num_rows, size, gate.data(), up.data(), result.data());
      return result;
    });
    for (size_t i = 0; i < gate.size(); ++i) {
      const double exact = gate[i] * sigmoid(gate[i]) * up[i];
      ASSERT_NEAR(y[i], exact, 6 * kRounding * std::abs(exact)) << gate[i];  // 2 of e^x, and one an operation
    }
    for (size_t i = gate.size(); i < y.size(); ++i) EXPECT_EQ(y[i], kCanary);
  }
}

TEST(Swiglu, HasTheRightLimits) {
  const std::vector<float> gate = {0.0f,   -0.0f,   88.5f, 100.0f, 1e4f, 3e38f,
                                   -88.5f, -100.0f, -1e4f, -1e30f, 5.0f, -5.0f};
  const std::vector<float> up(gate.size(), 1.0f);
  const std::vector<float> y = same_in_all_settings([&](ThreadPool& pool) {
    std::vector<float> result(gate.size());
    swiglu(pool, 1, static_cast<int64_t>(gate.size()), gate.data(), up.data(), result.data());
    return result;
  });
  for (size_t i = 0; i < gate.size(); ++i) {
    const double exact = gate[i] * sigmoid(gate[i]);
    // e^-x ends at 2.4e38, so that a sigmoid does not fall below 4.2e-39.
    EXPECT_NEAR(y[i], exact, 6 * kRounding * std::abs(exact) + 4.3e-39 * std::abs(gate[i])) << gate[i];
  }
}

TEST(Swiglu, HidesNothing) {
  const std::vector<float> bad_gate = {kNan, 1.0f, kInfinity, 1.0f, -kInfinity, 1.0f, kNan};
  const std::vector<float> bad_up = {1.0f, kNan, 1.0f, kInfinity, 1.0f, -kInfinity, kNan};
  for (int64_t size : {7, 23}) {  // in the last vector, and in a whole one
    std::vector<float> gate = bad_gate, up = bad_up;
    gate.resize(size, 0.5f);
    up.resize(size, 0.5f);
    const std::vector<float> grad_y(static_cast<size_t>(size), 1.0f);
    for_each_setting([&](ThreadPool& pool) {
      std::vector<float> y(static_cast<size_t>(size)), grad_gate = gate, grad_up = up;
      swiglu(pool, 1, size, gate.data(), up.data(), y.data());
      swiglu_backward(pool, 1, size, grad_gate.data(), grad_up.data(), grad_y.data());
      for (int64_t i = 0; i < size; ++i) {
        EXPECT_EQ(std::isfinite(y[i]), i >= 7) << i;
        EXPECT_EQ(std::isfinite(grad_gate[i]) && std::isfinite(grad_up[i]), i >= 7) << i;
      }
    });
  }
}

TEST(SwigluBackward, GivesTheSlopes) {
  for (const auto& [num_rows, size] : kShapes) {
    std::vector<float> gate = random_values(num_rows * size, 123, -12.0f, 12.0f);
    gate[0] = 0.0f;
    gate.back() = -30.0f;
    const std::vector<float> up = random_values(num_rows * size, 124, -2.0f, 2.0f);
    const std::vector<float> grad_y = random_values(num_rows * size, 125);
    const std::vector<float> result = same_in_all_settings([&, num_rows = num_rows, size = size](ThreadPool& pool) {
      std::vector<float> grad_gate = gate, grad_up = up;
      swiglu_backward(pool, num_rows, size, grad_gate.data(), grad_up.data(), grad_y.data());
      return joined({grad_gate, grad_up});
    });
    for (size_t i = 0; i < gate.size(); ++i) {
      const auto loss = [&](const std::vector<double>& v) { return grad_y[i] * v[0] * sigmoid(v[0]) * v[1]; };
      const std::vector<double> slopes = slopes_of(loss, {gate[i], up[i]});
      // g (1 - s) loses what s rounds: up to 12 / 2^24 of terms below 2; 1e-8 is the error of the differences.
      ASSERT_NEAR(result[i], slopes[0], 40 * kRounding + 1e-8) << gate[i];
      ASSERT_NEAR(result[gate.size() + i], slopes[1], 8 * kRounding * std::abs(slopes[1]) + 1e-8) << gate[i];
    }
  }
}

struct RotaryCase {
  int64_t num_rows, num_heads, head_dim;
};
constexpr int64_t kNumPositions = 50;

std::vector<float> rotary_table(int64_t head_dim) {
  std::vector<float> table;
  for (int64_t position = 0; position < kNumPositions; ++position) {
    for (int64_t i = 0; i < head_dim / 2; ++i) {
      const double angle = static_cast<double>(position) * std::pow(10000.0, -2.0 * i / head_dim);
      table.push_back(static_cast<float>(std::cos(angle)));
      table.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return table;
}

std::vector<int64_t> positions_of(int64_t num_rows) {
  std::vector<int64_t> positions;
  for (int64_t r = 0; r < num_rows; ++r) positions.push_back(r * 17 % kNumPositions);
  return positions;
}

TEST(Rotary, TurnsPairsOfHalvesByTheirAngles) {
  for (const auto& [num_rows, num_heads, head_dim] : {RotaryCase{1, 1, 2}, {5, 3, 8}, {30, 2, 24}, {50, 9, 64}}) {
    const std::vector<float> x = random_values(num_rows * num_heads * head_dim, 131), table = rotary_table(head_dim);
    const std::vector<int64_t> positions = positions_of(num_rows);
    const int64_t half = head_dim / 2;
    for (const bool back : {false, true}) {
      const std::vector<float> y =
          same_in_all_settings([&, num_rows = num_rows, num_heads = num_heads, head_dim = head_dim](ThreadPool& pool) {
            std::vector<float> turned = x;
            rotary(pool, num_rows, num_heads, head_dim, turned.data(), table.data(), positions.data(), back);
            return turned;
          });
      for (int64_t i = 0; i < num_rows * num_heads * half; ++i) {
        const int64_t row = i / half / num_heads, first = i / half * head_dim + i % half;
        const double angle = static_cast<double>(positions[row]) * std::pow(10000.0, -2.0 * (i % half) / head_dim);
        const std::complex<double> exact =
            std::complex<double>(x[first], x[first + half]) * std::polar(1.0, back ? -angle : angle);
        // Two products of numbers below 1, each with the rounding of the table and its own, and their sum.
        ASSERT_NEAR(y[first], exact.real(), 6 * kRounding) << i;
        ASSERT_NEAR(y[first + half], exact.imag(), 6 * kRounding) << i;
        ASSERT_NEAR(std::hypot(y[first], y[first + half]), std::abs(exact), 8 * kRounding) << "the norm is kept";
      }
    }
  }
}

TEST(Rotary, BackUndoesIt) {
  ThreadPool pool(2);
  const std::vector<float> x = random_values(40 * 4 * 24, 132), table = rotary_table(24);
  const std::vector<int64_t> positions = positions_of(40);
  std::vector<float> y = x;
  rotary(pool, 40, 4, 24, y.data(), table.data(), positions.data(), false);
  rotary(pool, 40, 4, 24, y.data(), table.data(), positions.data(), true);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(y[i], x[i], 12 * kRounding);
}

TEST(Rotary, PositionZeroChangesNothing) {
  ThreadPool pool(1);
  const std::vector<float> x = random_values(2 * 8, 133), table = rotary_table(8);
  const std::vector<int64_t> positions = {0, 0};
  std::vector<float> y = x;
  rotary(pool, 2, 1, 8, y.data(), table.data(), positions.data(), false);
  EXPECT_EQ(y, x);
}

TEST(Add, AddsEachElementOnce) {
  for (const int64_t size : {0, 1, 15, 8191, 8192, 8193, 20000}) {
    const std::vector<float> x = random_values(size, 141), start = random_values(size, 142);
    for_each_setting([&](ThreadPool& pool) {
      std::vector<float> y = start;
      y.push_back(kCanary);
      add(pool, size, x.data(), y.data());
      for (int64_t i = 0; i < size; ++i) ASSERT_EQ(y[i], start[i] + x[i]) << i << " of " << size;
      EXPECT_EQ(y.back(), kCanary);
    });
  }
}

}  // namespace
}  // namespace noregret::kernels
