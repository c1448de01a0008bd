#pragma once

#include "noregret/kernels/matrix.h"
#include "tests/kernels/kernel_cases.h"

namespace noregret::kernels {

struct Weight {
  std::vector<float> rows;  // [out, in]
  PackedMatrix packed;
};

inline Weight make_weight(int64_t out, int64_t in, WeightDtype dtype, uint64_t seed) {
  Weight weight{{}, PackedMatrix(out, in, dtype)};
  if (dtype == WeightDtype::kF32) {
    weight.rows = random_values(out * in, seed);
    weight.packed.pack(weight.rows.data(), in, 1);
  } else {
    const std::vector<uint16_t> bits = random_bf16(out * in, seed);
    for (const uint16_t value : bits) weight.rows.push_back(widen(value));
    weight.packed.pack(bits.data());
  }
  return weight;
}

inline Weight make_narrow(int64_t out, int64_t in, uint64_t seed) {
  Weight weight{random_values(out * in, seed), PackedMatrix::narrow(out, in)};
  weight.packed.pack(weight.rows.data(), in, 1);
  return weight;
}

// Rows of `size` that lie `stride` apart; what lies between them is `gap`.
inline std::vector<float> with_stride(const std::vector<float>& dense, int64_t size, int64_t stride, float gap) {
  const int64_t num_rows = size > 0 ? static_cast<int64_t>(dense.size()) / size : 0;
  std::vector<float> spread(static_cast<size_t>(num_rows * stride), gap);
  for (int64_t r = 0; r < num_rows; ++r) std::copy_n(&dense[r * size], size, &spread[r * stride]);
  return spread;
}

// A number as the header defines it, one chain of FMAs, beside its exact value and the bound on the error of any chain.
struct Chain {
  explicit Chain(float start = 0.0f) : value(start), exact(start), magnitude(std::abs(start)) {}
  void add(float a, float b) {
    value = std::fma(a, b, value);
    const double product = static_cast<double>(a) * b;
    exact += product;
    magnitude += std::abs(product);
    ++length;
  }
  void join(const Chain& other) {
    value += other.value;
    exact += other.exact;
    magnitude += other.magnitude;
    length += other.length + 1;
  }
  void expect_is(float result, const std::string& what) const {
    ASSERT_NEAR(result, exact, static_cast<double>(length) * kRounding * magnitude) << what;
    ASSERT_EQ(std::bit_cast<uint32_t>(result), std::bit_cast<uint32_t>(value))
        << what << ": " << result << " is not the chain's " << value;
  }

  float value;
  double exact;
  double magnitude;
  int64_t length = 0;
};

}  // namespace noregret::kernels
