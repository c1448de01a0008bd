#include "noregret/kernels/rows.h"
#include "tests/gpu/gpu_support.h"

namespace noregret::kernels {
namespace {

class RowsOnGpu : public GpuTest {};

constexpr int64_t kNumRows = 5, kBatch = 64;
constexpr float kEps = 1e-6f;

// Rows of `size` results, `rank` elements of the low-rank path, and 8 that nothing writes.
struct RowShape {
  int64_t size, rank;
  int64_t stride() const { return size + rank + 8; }
};

// Row by row: `want`; that, as it was rounded, times a^T; NaN as before.
void expect_rows(const Tensor& y, const RowShape& shape, const std::vector<float>& want, const std::vector<float>& a,
                 double absolute) {
  const std::string what = cat("size ", shape.size, ", rank ", shape.rank);
  const std::vector<float> values = widened(y);
  for (int64_t row = 0; row < kNumRows; ++row) {
    const float* result = &values[row * shape.stride()];
    const std::vector<float> exact(&want[row * shape.size], &want[row * shape.size] + shape.size);
    expect_bf16(std::span(result, exact.size()), exact, absolute, cat(what, ", row ", row));
    for (int64_t r = 0; r < shape.rank; ++r) {
      const Dot dot(result, &a[r * shape.size], shape.size);
      ASSERT_NEAR(result[shape.size + r], dot.value, Dot::tolerance(dot.value, dot.magnitude, shape.size))
          << what << ", row " << row << ", low-rank element " << r;
    }
    for (int64_t i = shape.size + shape.rank; i < shape.stride(); ++i) ASSERT_TRUE(std::isnan(result[i])) << what;
  }
}

TEST_F(RowsOnGpu, RmsNormIsTheCpus) {
  ThreadPool pool(2);
  for (const int64_t size : kSizes) {
    const RowShape shape{size, 0};
    const std::vector<float> x = bf16_values(kNumRows * size, 11, -2.0f, 2.0f), weight = bf16_values(size, 12);
    std::vector<float> want(x.size()), want_inverse(kNumRows);
    rms_norm(pool, kNumRows, size, x.data(), weight.data(), kEps, want.data(), want_inverse.data());

    const Tensor gpu_x = bf16_on_gpu(x), gpu_weight = bf16_on_gpu(weight);
    const Tensor y = poisoned(kNumRows * shape.stride(), at::kBFloat16), inverse = poisoned(kNumRows, at::kFloat);
    cuda::rms_norm(stream(), kNumRows, size, bf16(gpu_x), bf16(gpu_weight), kEps, bf16(y), shape.stride(),
                   f32(inverse));
    expect_rows(y, shape, want, {}, 0);  // products only: nothing cancels
    const std::vector<float> inverses = from_gpu<float>(inverse);
    for (int64_t row = 0; row < kNumRows; ++row)
      EXPECT_NEAR(inverses[row], want_inverse[row], 1e-5 * want_inverse[row]);  // f32 sums of `size` squares

    const Tensor again = poisoned(kNumRows * shape.stride(), at::kBFloat16);
    cuda::rms_norm(stream(), kNumRows, size, bf16(gpu_x), bf16(gpu_weight), kEps, bf16(again), shape.stride(), nullptr);
    EXPECT_EQ(from_gpu<uint16_t>(again), from_gpu<uint16_t>(y)) << "without the inverse";
  }
}

TEST_F(RowsOnGpu, RmsNormAddsEpsBeforeTheRoot) {
  // mean(x^2) is 2^-20, so that a misplaced eps of 3 * 2^-20 shows: r is 2^9.
  const Tensor x = bf16_on_gpu(std::vector<float>(128, 0x1p-10f)), weight = bf16_on_gpu(std::vector<float>(128, 1.0f));
  const Tensor y = poisoned(128, at::kBFloat16), inverse = poisoned(1, at::kFloat);
  cuda::rms_norm(stream(), 1, 128, bf16(x), bf16(weight), 0x3p-20f, bf16(y), 128, f32(inverse));
  EXPECT_NEAR(from_gpu<float>(inverse)[0], 512.0f, 512e-6);  // rsqrtf is right to 2 steps of f32
  for (const float value : widened(y)) EXPECT_EQ(value, 0.5f);
}

TEST_F(RowsOnGpu, RmsNormBackwardIsTheCpus) {
  ThreadPool pool(2);
  for (const int64_t size : kSizes) {
    const int64_t stride = size + 24;
    const std::vector<float> x = bf16_values(kNumRows * size, 21, -2.0f, 2.0f), weight = bf16_values(size, 22);
    const std::vector<float> grad_y = bf16_values(kNumRows * size, 23), start = bf16_values(kNumRows * size, 24);
    std::vector<float> y(x.size()), inverse(kNumRows), want = start;
    rms_norm(pool, kNumRows, size, x.data(), weight.data(), kEps, y.data(), inverse.data());
    rms_norm_backward(pool, kNumRows, size, x.data(), weight.data(), inverse.data(), grad_y.data(), want.data());

    const Tensor gpu_x = bf16_on_gpu(x), gpu_weight = bf16_on_gpu(weight), gpu_inverse = on_gpu(inverse);
    const Tensor gpu_grad_y = bf16_on_gpu(with_stride(grad_y, size, stride, kNan));
    const Tensor grad_x = bf16_on_gpu(with_stride(start, size, stride + 8, kNan));
    cuda::rms_norm_backward(stream(), kNumRows, size, bf16(gpu_x), bf16(gpu_weight), f32(gpu_inverse), bf16(gpu_grad_y),
                            stride, bf16(grad_x), stride + 8);
    // Terms of order 1 may cancel; each has f32's error, and the mean that of a sum of `size` of them.
    expect_bf16(without_gaps(grad_x, size, stride + 8), want, 1e-5, cat("size ", size));
  }
}

// Gates, among them ones so far from 0 that e^-gate is not a number of f32.
std::vector<float> make_gates(int64_t size) {
  std::vector<float> gates = bf16_values(kNumRows * size, 31, -6.0f, 6.0f);
  for (int64_t row = 0; row < kNumRows; ++row) {
    gates[row * size] = -100.0f;
    gates[row * size + 1] = 100.0f;
    gates[row * size + size - 1] = 0.0f;
  }
  return gates;
}
// [rows, 2 size]: a row of gates, then one of up.
std::vector<float> side_by_side(const std::vector<float>& gate, const std::vector<float>& up, int64_t size) {
  std::vector<float> both = with_stride(gate, size, 2 * size, kNan);
  for (int64_t row = 0; row < kNumRows; ++row) std::copy_n(&up[row * size], size, &both[(2 * row + 1) * size]);
  return both;
}

TEST_F(RowsOnGpu, SwigluIsTheCpus) {
  ThreadPool pool(2);
  for (const int64_t size : {128, 896, 1536, 4096, 8960, 18944, 32768}) {
    const RowShape shape{size, 0};
    const std::vector<float> gate = make_gates(size), up = bf16_values(kNumRows * size, 32);
    std::vector<float> want(gate.size());
    swiglu(pool, kNumRows, size, gate.data(), up.data(), want.data());

    const Tensor gate_up = bf16_on_gpu(side_by_side(gate, up, size));
    const Tensor y = poisoned(kNumRows * shape.stride(), at::kBFloat16);
    cuda::swiglu(stream(), kNumRows, size, bf16(gate_up), bf16(y), shape.stride());
    expect_rows(y, shape, want, {}, 1e-35);  // silu(-100) is 4e-42, or 0, or with an exponent cut at -87 some 1e-36
  }
}

TEST_F(RowsOnGpu, SwigluBackwardIsTheCpus) {
  ThreadPool pool(2);
  for (const int64_t size : kSizes) {
    const int64_t stride = 2 * size + 16;
    const std::vector<float> gate = make_gates(size), up = bf16_values(kNumRows * size, 42);
    const std::vector<float> grad_y = bf16_values(kNumRows * size, 43);
    std::vector<float> grad_gate = gate, grad_up = up;
    swiglu_backward(pool, kNumRows, size, grad_gate.data(), grad_up.data(), grad_y.data());

    const Tensor gate_up = bf16_on_gpu(side_by_side(gate, up, size));
    const Tensor gpu_grad_y = bf16_on_gpu(grad_y), grad_gate_up = poisoned(kNumRows * stride, at::kBFloat16);
    cuda::swiglu_backward(stream(), kNumRows, size, bf16(gate_up), bf16(gpu_grad_y), bf16(grad_gate_up), stride);
    // 1 + g (1 - s) cancels at g = -1.28; its terms are at most 7 and have f32's error, some 1e-6.
    expect_bf16(without_gaps(grad_gate_up, 2 * size, stride), side_by_side(grad_gate, grad_up, size), 5e-6,
                cat("size ", size));
  }
}

TEST_F(RowsOnGpu, ShrinkWritesTheLowRankPathBehindTheRow) {
  for (const int64_t size : kSizes) {
    for (const int64_t rank : kRanks) {
      const RowShape shape{size, rank};
      const std::vector<float> dense = bf16_values(kNumRows * size, 51), a = bf16_values(rank * size, 52);
      const Tensor x = bf16_on_gpu(with_stride(dense, size, shape.stride(), kNan));
      const Tensor gpu_a = bf16_on_gpu(with_stride(a, size, size + 8, kNan));
      cuda::shrink(stream(), kNumRows, size, bf16(x), shape.stride(), bf16(gpu_a), size + 8, rank);
      expect_rows(x, shape, dense, a, 0);
      const std::vector<float> values = widened(x);
      for (int64_t i = 0; i < kNumRows * size; ++i)
        ASSERT_EQ(values[i / size * shape.stride() + i % size], dense[i]) << "the activation itself stays";
    }
  }
}

TEST_F(RowsOnGpu, ResultsOfARowDependOnItAlone) {
  constexpr int64_t kRank = 16;
  for (const int64_t size : {int64_t{896}, int64_t{8960}}) {
    const RowShape shape{size, kRank};
    const Tensor gate_up = bf16_on_gpu(bf16_values(kBatch * 2 * size, 61, -3.0f, 3.0f));
    const Tensor weight = bf16_on_gpu(bf16_values(size, 62)), a = bf16_on_gpu(bf16_values(kRank * size, 63));
    const auto norm = [&](int64_t first, int64_t count) {
      const Tensor x = rows_of(gate_up, first, count, size);
      const Tensor y = poisoned(count * shape.stride(), at::kBFloat16);
      cuda::rms_norm(stream(), count, size, bf16(x), bf16(weight), kEps, bf16(y), shape.stride(), nullptr);
      return from_gpu<uint16_t>(y);
    };
    expect_rows_stand_alone(kBatch, norm, "rms_norm");
    const auto activate = [&](int64_t first, int64_t count) {
      const Tensor x = rows_of(gate_up, first, count, 2 * size);
      const Tensor y = poisoned(count * shape.stride(), at::kBFloat16);
      cuda::swiglu(stream(), count, size, bf16(x), bf16(y), shape.stride());
      return from_gpu<uint16_t>(y);
    };
    expect_rows_stand_alone(kBatch, activate, "swiglu");
    const auto to_low_rank = [&](int64_t first, int64_t count) {
      const Tensor x = rows_of(gate_up, first, count, 2 * size);  // rows of 2 size, of which the first half counts
      cuda::shrink(stream(), count, size, bf16(x), 2 * size, bf16(a), size, kRank);
      return from_gpu<uint16_t>(x);
    };
    expect_rows_stand_alone(kBatch, to_low_rank, "shrink");
  }
}

TEST_F(RowsOnGpu, NoRowsAreNoWork) {
  cuda::rms_norm(stream(), 0, 128, nullptr, nullptr, kEps, nullptr, 136, nullptr);
  cuda::rms_norm_backward(stream(), 0, 128, nullptr, nullptr, nullptr, nullptr, 128, nullptr, 128);
  cuda::swiglu(stream(), 0, 128, nullptr, nullptr, 136);
  cuda::swiglu_backward(stream(), 0, 128, nullptr, nullptr, nullptr, 256);
  cuda::shrink(stream(), 0, 128, nullptr, 136, nullptr, 128, 8);
  synchronize(kGpu);
}

}  // namespace
}  // namespace noregret::kernels
