#include <ATen/ops/cat.h>

#include <tuple>

#include "noregret/kernels/rows.h"
#include "tests/gpu/attention_batch.h"

// The kernels of a forward that do several things in one pass.
namespace noregret::kernels {
namespace {

class StepOnGpu : public GpuTest {};

constexpr float kEps = 1e-6f;

// Residual sums of 19 rows, so that blocks of 8 are full and not.
struct AddedRows {
  static constexpr int64_t kCount = 19;
  AddedRows(int64_t row_size, int64_t rank_of_b, int64_t rank_of_a)
      : size(row_size),
        added_rank(rank_of_b),
        rank(rank_of_a),
        x(bf16_values(kCount * size, 61, -2.0f, 2.0f)),
        product(bf16_values(kCount * (size + added_rank), 62)),
        b(bf16_values(size * added_rank, 63, -0.5f, 0.5f)),
        weight(bf16_values(size, 64)),
        a(bf16_values(rank * size, 65)) {}

  struct Result {
    Tensor sum, y, inverse;
  };
  Result run(int64_t first, int64_t count, bool adds, bool norms = true) const {
    const Tensor gpu_x = rows_of(bf16_on_gpu(x), first, count, size), gpu_weight = bf16_on_gpu(weight);
    const Tensor all = bf16_on_gpu(with_stride(product, size + added_rank, product_stride(), kNan));
    const Tensor gpu_product = rows_of(all, first, count, product_stride());
    const Tensor gpu_b = bf16_on_gpu(with_stride(b, added_rank, added_rank + 24, kNan));
    const Tensor gpu_a = bf16_on_gpu(with_stride(a, size, size + 16, kNan));
    cuda::LowRankSum added{};
    if (adds) added = {bf16(gpu_product), product_stride(), bf16(gpu_b), added_rank + 24, added_rank};
    Result result{poisoned(count * size, at::kBFloat16), poisoned(count * y_stride(), at::kBFloat16),
                  poisoned(count, at::kFloat)};
    cuda::add_rms_norm(stream(), count, size, bf16(gpu_x), added, bf16(result.sum), norms ? bf16(gpu_weight) : nullptr,
                       kEps, bf16(gpu_a), size + 16, rank, bf16(result.y), y_stride(), f32(result.inverse));
    return result;
  }
  int64_t product_stride() const { return size + added_rank + 8; }
  int64_t y_stride() const { return size + rank + 8; }

  int64_t size, added_rank, rank;
  std::vector<float> x, product, b, weight, a;
};

void expect_sums(const AddedRows& rows, const std::vector<float>& sum) {
  for (int64_t row = 0; row < AddedRows::kCount; ++row) {
    const float* product = &rows.product[row * (rows.size + rows.added_rank)];
    for (int64_t i = 0; i < rows.size; ++i) {
      const Dot low_rank(product + rows.size, rows.b.data() + i * rows.added_rank, rows.added_rank);
      const double want = static_cast<double>(rows.x[row * rows.size + i]) + product[i] + low_rank.value;
      // The low-rank sum is rounded, then the whole; 1e-5: f32 sums of at most 40 terms.
      ASSERT_NEAR(sum[row * rows.size + i], want,
                  kBf16Rounding * (std::abs(want) + std::abs(low_rank.value)) + 1e-5 * low_rank.magnitude)
          << "row " << row << ", element " << i;
    }
  }
}

// y and inverse against the norm of the sums as they were rounded, and y's last columns against what those give with
// weight a as it is rounded.
void expect_norms(const AddedRows& rows, const std::vector<float>& sum, const AddedRows::Result& result) {
  const std::vector<float> y = widened(result.y), got_inverse = from_gpu<float>(result.inverse);
  ThreadPool pool(2);
  std::vector<float> normed(sum.size()), inverse(AddedRows::kCount);
  rms_norm(pool, AddedRows::kCount, rows.size, sum.data(), rows.weight.data(), kEps, normed.data(), inverse.data());
  for (int64_t row = 0; row < AddedRows::kCount; ++row) {
    const float* got = &y[row * rows.y_stride()];
    ASSERT_NEAR(got_inverse[row], inverse[row], 1e-5 * inverse[row]) << "row " << row;  // f32 sums in other orders
    expect_bf16(std::span(got, static_cast<size_t>(rows.size)),
                std::vector<float>(&normed[row * rows.size], &normed[row * rows.size] + rows.size), 0,
                cat("row ", row));
    for (int64_t r = 0; r < rows.rank; ++r) {
      std::vector<float> scaled(static_cast<size_t>(rows.size));
      for (int64_t k = 0; k < rows.size; ++k)
        scaled[k] = widen(round_to_bf16(rows.a[r * rows.size + k] * rows.weight[k]));
      const Dot dot(&sum[row * rows.size], scaled.data(), rows.size);
      const double value = inverse[row] * dot.value;
      ASSERT_NEAR(got[rows.size + r], value, Dot::tolerance(value, inverse[row] * dot.magnitude, rows.size))
          << row << ", " << r;
    }
    for (int64_t i = rows.size + rows.rank; i < rows.y_stride(); ++i)
      ASSERT_TRUE(std::isnan(got[i])) << "written beyond the row";
  }
}

TEST_F(StepOnGpu, AddRmsNormAddsTheLowRankSumThenNorms) {
  const std::pair<int64_t, int64_t> ranks[] = {{0, 0}, {8, 48}, {16, 8}, {40, 24}};
  for (const int64_t size : {128, 896, 1536, 1568, 4096, 12288}) {
    for (const auto& [added_rank, rank] : ranks) {
      SCOPED_TRACE(cat("size ", size, ", ranks ", added_rank, " and ", rank));
      const AddedRows rows(size, added_rank, rank);
      const AddedRows::Result result = rows.run(0, AddedRows::kCount, true);
      const std::vector<float> sum = widened(result.sum);
      expect_sums(rows, sum);
      expect_norms(rows, sum, result);
      if (HasFailure()) return;
    }
  }
}

TEST_F(StepOnGpu, AddRmsNormOfNothingIsTheNorm) {
  const AddedRows rows(1536, 16, 16);
  const AddedRows::Result result = rows.run(0, AddedRows::kCount, false);
  for (const float value : widened(result.sum)) ASSERT_TRUE(std::isnan(value)) << "a sum was written";
  expect_norms(rows, rows.x, result);
}

TEST_F(StepOnGpu, AddRmsNormWithoutAWeightGivesTheSameSumAlone) {
  const AddedRows rows(1536, 16, 16);
  const AddedRows::Result alone = rows.run(0, AddedRows::kCount, true, false);
  EXPECT_EQ(from_gpu<uint16_t>(alone.sum), from_gpu<uint16_t>(rows.run(0, AddedRows::kCount, true).sum));
  for (const float value : widened(alone.y)) ASSERT_TRUE(std::isnan(value)) << "a norm was written";
}

// A layer's end and the next one's begin, apart and together.
TEST_F(StepOnGpu, AddRmsNormInTwoPassesHasTheBitsOfOne) {
  for (const auto& [size, added_rank, rank] :
       {std::tuple{1536, 16, 48}, {1536, 16, 0}, {1536, 64, 16}, {2048, 16, 0}, {2048, 32, 48}}) {
    const AddedRows rows(size, added_rank, rank);
    const AddedRows::Result one = rows.run(0, AddedRows::kCount, true);
    AddedRows later = rows;
    later.x = widened(rows.run(0, AddedRows::kCount, true, false).sum);
    const AddedRows::Result two = later.run(0, AddedRows::kCount, false);
    EXPECT_EQ(without_gaps(two.y, rows.size + rows.rank, rows.y_stride()),
              without_gaps(one.y, rows.size + rows.rank, rows.y_stride()))
        << "size " << size << ", ranks " << added_rank << " and " << rank;
  }
}

// More rows than blocks find places for are cut into blocks of another kind.
TEST_F(StepOnGpu, AddRmsNormGivesARowTheSameBitsAmongThousands) {
  const AddedRows rows(1536, 16, 48);
  AddedRows many = rows;
  for (int i = 1; i < 64; ++i) {
    many.x.insert(many.x.end(), rows.x.begin(), rows.x.end());
    many.product.insert(many.product.end(), rows.product.begin(), rows.product.end());
  }
  const std::vector<float> few_y = without_gaps(rows.run(0, AddedRows::kCount, true).y, 1584, rows.y_stride());
  const std::vector<float> many_y = without_gaps(many.run(0, AddedRows::kCount * 64, true).y, 1584, rows.y_stride());
  for (size_t i = 0; i < many_y.size(); ++i)
    ASSERT_EQ(many_y[i], few_y[i % few_y.size()]) << "row " << i / 1584 << ", element " << i % 1584;
}

TEST_F(StepOnGpu, AddRmsNormGivesARowTheSameBitsInAnyBatch) {
  const AddedRows rows(1536, 16, 48);
  const auto run = [&](int64_t first, int64_t count) {
    const AddedRows::Result result = rows.run(first, count, true);
    const std::vector<uint16_t> sum = from_gpu<uint16_t>(result.sum), y = from_gpu<uint16_t>(result.y);
    std::vector<uint16_t> both;
    for (int64_t row = 0; row < count; ++row) {
      const uint16_t *of_sum = &sum[row * rows.size], *of_y = &y[row * rows.y_stride()];
      both.insert(both.end(), of_sum, of_sum + rows.size);
      both.insert(both.end(), of_y, of_y + rows.size + rows.rank);
    }
    return both;
  };
  expect_rows_stand_alone(AddedRows::kCount, run, "add_rms_norm");
}

// The last rows of three sequences: with rotary() and attention(), and with attention_step() on pages as they were
// before it.
void expect_step(int64_t dim, int64_t group) {
  SCOPED_TRACE(cat("head_dim ", dim, ", group ", group));
  const std::vector<float> table = rotary_table(dim, true);
  Batch batch(make_shape(2, group, dim), {{0, kLongest}, {256, 45}, {0, 17}}, 181);
  const Tensor raw = batch.gpu_qkv.clone();
  batch.turn_and_store(table);
  std::vector<int64_t> last;
  for (const QuerySegment& segment : batch.segments) last.push_back(segment.first_row + segment.num_rows - 1);
  std::vector<Tensor> before, turned;
  std::vector<int32_t> positions, sequences;
  for (const int64_t row : last) {
    before.push_back(rows_of(raw, row, 1, batch.width()));
    turned.push_back(rows_of(batch.gpu_qkv, row, 1, batch.width()));
    positions.push_back(batch.positions[row]);
    sequences.push_back(batch.row_sequences[row]);
  }
  const auto count = static_cast<int64_t>(positions.size());
  const Tensor gpu_positions = on_gpu(positions), gpu_sequences = on_gpu(sequences);
  const Attended want = batch.attend(at::cat(turned), gpu_positions, batch.gpu_tables, gpu_sequences, kLongest,
                                     batch.scratch(count, kLongest));
  const std::vector<uint16_t> keys = from_gpu<uint16_t>(batch.keys), values = from_gpu<uint16_t>(batch.values);

  // The step's own keys and values shall be what it stores: others lie there.
  Tensor other = raw.clone();
  for (const int64_t row : last) other.narrow(0, row * batch.width(), batch.width()).fill_(0.75);
  batch.gpu_qkv.copy_(other);
  batch.turn_and_store(table);
  const Tensor rows = at::cat(before), gpu_table = on_gpu(table);
  const int64_t stride = batch.q_width() + Batch::kGap;
  const Tensor scratch = at::zeros({cuda::attention_scratch_bytes(count, batch.gpu_shape(), 2048)},
                                   at::TensorOptions(kGpu).dtype(at::kByte));
  for (int repeat = 0; repeat < 3; ++repeat) {  // the scratch serves again
    const Attended got{poisoned(count * stride, at::kBFloat16), Tensor()};
    cuda::attention_step(stream(), count, batch.gpu_shape(), bf16(rows), i32(gpu_positions), f32(gpu_table),
                         batch.page_tables(batch.gpu_tables, gpu_sequences), bf16(batch.keys), bf16(batch.values), 2048,
                         scratch.data_ptr(), bf16(got.y), stride);
    EXPECT_EQ(batch.y_of(got), batch.y_of(want));
    EXPECT_EQ(from_gpu<uint16_t>(batch.keys), keys);
    EXPECT_EQ(from_gpu<uint16_t>(batch.values), values);
  }
  EXPECT_EQ(from_gpu<uint16_t>(rows), from_gpu<uint16_t>(at::cat(before)));
}

TEST_F(StepOnGpu, AttentionStepIsRotaryAndAttention) {
  for (const int64_t dim : {16, 32, 64, 80, 96, 128}) {
    for (const int64_t group : {1, 4, 7, 8}) {
      expect_step(dim, group);
      if (HasFailure()) return;
    }
  }
}

TEST_F(StepOnGpu, NoRowsAreNoWork) {
  cuda::add_rms_norm(stream(), 0, 128, nullptr, {}, nullptr, nullptr, kEps, nullptr, 128, 8, nullptr, 136, nullptr);
  cuda::attention_step(stream(), 0, {2, 2, 64}, nullptr, nullptr, nullptr, {}, nullptr, nullptr, 16, nullptr, nullptr,
                       128);
  synchronize(kGpu);
}

}  // namespace
}  // namespace noregret::kernels
