#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <cstring>
#include <type_traits>
#include <vector>

#include "noregret/base/check.h"
#include "noregret/kernels/cuda.h"
#include "noregret/tensor/cuda.h"
#include "tests/gpu/gpu_test.h"
#include "tests/kernels/matrix_cases.h"

namespace noregret::kernels {

inline constexpr int64_t kSizes[] = {128, 896, 1536, 4096, 8960};
inline constexpr int64_t kRanks[] = {0, 8, 16, 48};

// One rounding to bf16 moves a value by at most 2^-8 of it (half a step, at a power of two). The 3 % more is for what
// was rounded: f32's own relative error, below 1e-4.
inline constexpr double kBf16Rounding = 1.03 * 0x1p-8;

inline cuda::Stream stream() { return current_stream(kGpu); }

// ---- values of bf16 on the host

inline uint16_t round_to_bf16(float value) {  // to nearest, ties to even; not for infinity
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}
// Random values that bf16 holds exactly.
inline std::vector<float> bf16_values(int64_t size, uint64_t seed, float low = -1.0f, float high = 1.0f) {
  std::vector<float> values = random_values(size, seed, low, high);
  for (float& value : values) value = widen(round_to_bf16(value));
  return values;
}

// ---- device memory

template <class T>
Tensor on_gpu(const std::vector<T>& values) {
  constexpr at::ScalarType kDtype = std::is_same_v<T, float>      ? at::kFloat
                                    : std::is_same_v<T, int32_t>  ? at::kInt
                                    : std::is_same_v<T, int64_t>  ? at::kLong
                                    : std::is_same_v<T, uint16_t> ? at::kBFloat16
                                                                  : at::kByte;
  const size_t num_bytes = values.size() * sizeof(T);
  const Tensor host = at::empty({static_cast<int64_t>(num_bytes / at::elementSize(kDtype))}, kDtype);
  if (num_bytes > 0) std::memcpy(host.data_ptr(), values.data(), num_bytes);
  return host.to(kGpu);
}
inline Tensor bf16_on_gpu(const std::vector<float>& values) {
  std::vector<uint16_t> bits;
  bits.reserve(values.size());
  for (const float value : values) bits.push_back(round_to_bf16(value));
  return on_gpu(bits);
}

// What a kernel shall overwrite: NaN, or -77 in integers.
inline Tensor poisoned(int64_t size, at::ScalarType dtype) {
  return at::full({size}, at::isFloatingType(dtype) ? at::Scalar(kNan) : at::Scalar(-77),
                  at::TensorOptions(kGpu).dtype(dtype));
}

// The bits of a tensor of elements as large as T.
template <class T>
std::vector<T> from_gpu(const Tensor& tensor) {
  NOREGRET_CHECK(static_cast<size_t>(tensor.element_size()) == sizeof(T), "from_gpu: another element size");
  const Tensor host = tensor.cpu().contiguous();
  std::vector<T> values(static_cast<size_t>(host.numel()));
  if (!values.empty()) std::memcpy(values.data(), host.data_ptr(), values.size() * sizeof(T));
  return values;
}
inline std::vector<float> widened(const Tensor& bf16) {
  std::vector<float> values;
  for (const uint16_t bits : from_gpu<uint16_t>(bf16)) values.push_back(widen(bits));
  return values;
}

inline cuda::Bf16* bf16(const Tensor& t) { return t.numel() > 0 ? static_cast<cuda::Bf16*>(t.data_ptr()) : nullptr; }
inline float* f32(const Tensor& t) { return static_cast<float*>(t.data_ptr()); }
inline int32_t* i32(const Tensor& t) { return static_cast<int32_t*>(t.data_ptr()); }
inline int64_t* i64(const Tensor& t) { return static_cast<int64_t*>(t.data_ptr()); }

// `count` of the rows of `size` elements from `first` on, in memory of their own.
inline Tensor rows_of(const Tensor& tensor, int64_t first, int64_t count, int64_t size) {
  return tensor.narrow(0, first * size, count * size).clone();
}

// The first `size` of every `stride` elements; behind them nothing was written.
inline std::vector<float> without_gaps(const Tensor& bf16, int64_t size, int64_t stride) {
  const std::vector<float> spread = widened(bf16);
  std::vector<float> dense;
  for (size_t i = 0; i < spread.size(); ++i) {
    if (static_cast<int64_t>(i) % stride < size) {
      dense.push_back(spread[i]);
    } else {
      EXPECT_TRUE(std::isnan(spread[i])) << "element " << i;
    }
  }
  return dense;
}

// ---- comparisons. NaN is near nothing.

template <class Want>
void expect_bf16(std::span<const float> values, const std::vector<Want>& want, double absolute,
                 const std::string& what) {
  ASSERT_EQ(values.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) {
    const auto exact = static_cast<double>(want[i]);
    ASSERT_NEAR(values[i], exact, kBf16Rounding * std::abs(exact) + absolute) << what << ": element " << i;
  }
}

// A dot product in f64, and the sum of its terms' magnitudes.
struct Dot {
  Dot(const float* x, const float* y, int64_t size) {
    for (int64_t i = 0; i < size; ++i) {
      const double product = static_cast<double>(x[i]) * y[i];
      value += product;
      magnitude += std::abs(product);
    }
  }
  // Of one warp's f32 sum, rounded to bf16: a lane adds one product after the other (8 of every 256), then 5 sums join
  // lanes. Each f32 rounding is at most kRounding of the magnitude.
  static double tolerance(double value, double magnitude, int64_t size) {
    return kBf16Rounding * std::abs(value) + static_cast<double>(size / 32 + 16) * kRounding * magnitude;
  }
  double value = 0, magnitude = 0;
};

// run(first, count) gives the results of rows [first, first + count), row after row: the same bits in a batch and
// alone.
template <class Run>
void expect_rows_stand_alone(int64_t num_rows, const Run& run, const std::string& what) {
  const auto batch = run(0, num_rows);
  const size_t width = batch.size() / static_cast<size_t>(num_rows);
  for (int64_t row = 0; row < num_rows; ++row) {
    const auto alone = run(row, 1);
    ASSERT_EQ(alone.size(), width) << what;
    ASSERT_EQ(std::memcmp(alone.data(), batch.data() + static_cast<size_t>(row) * width, width * sizeof(batch[0])), 0)
        << what << ": row " << row;
  }
}

}  // namespace noregret::kernels
