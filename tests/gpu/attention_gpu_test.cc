#include <set>

#include "noregret/kernels/attention.h"
#include "noregret/kernels/rows.h"
#include "tests/gpu/attention_batch.h"

namespace noregret::kernels {
namespace {

class AttentionOnGpu : public GpuTest {};

constexpr int64_t kHeadDims[] = {16, 32, 64, 80, 96, 128};

// Sequence 1 goes on from the first 256 positions of sequence 0.
const std::vector<Sequence> kSequences = {{0, kLongest}, {256, 44}, {0, 17}};

// The rotated rows against the CPU's rotation of queries and keys; values stay.
void expect_turned(const Batch& batch, const std::vector<float>& turned, const std::vector<float>& table) {
  ThreadPool pool(4);
  const std::vector<int64_t> positions(batch.positions.begin(), batch.positions.end());
  const int64_t num_turned = batch.shape().num_heads + batch.shape().num_kv_heads;
  const int64_t turned_width = num_turned * batch.shape().head_dim;
  std::vector<float> want = Batch::columns(batch.qkv, batch.width(), 0, turned_width);
  rotary(pool, batch.num_rows(), num_turned, batch.shape().head_dim, want.data(), table.data(), positions.data(),
         false);
  // x cos - y sin cancels: f32's error of terms below 2.
  expect_bf16(Batch::columns(turned, batch.width(), 0, turned_width), want, 1e-6, "queries and keys");
  EXPECT_EQ(Batch::columns(turned, batch.width(), turned_width, batch.kv_width()),
            Batch::columns(batch.qkv, batch.width(), turned_width, batch.kv_width()));
}

// The CPU's attention to the rows as the device has them.
std::vector<float> attention_on_cpu(const Batch& batch, const std::vector<float>& turned) {
  ThreadPool pool(4);
  const auto part = [&](int64_t first, int64_t count) { return Batch::columns(turned, batch.width(), first, count); };
  const std::vector<float> q = part(0, batch.q_width()), k = part(batch.q_width(), batch.kv_width());
  const std::vector<float> v = part(batch.q_width() + batch.kv_width(), batch.kv_width());
  std::vector<float> keys(static_cast<size_t>(batch.num_pages() * batch.shape().key_page()));
  std::vector<float> values(static_cast<size_t>(batch.num_pages() * batch.shape().value_page())), y(q.size(), kNan);
  const KvPages pages{keys.data(), values.data()};
  append_to_pages(pool, batch.shape(), batch.segments, k.data(), v.data(), pages);
  attention(pool, batch.shape(), batch.segments, q.data(), pages, y.data());
  return y;
}

// ln sum of e^score over the keys that a row sees, in f64.
double log_sum_exp(const Batch& batch, const std::vector<float>& turned, int64_t row, int64_t head) {
  const int64_t dim = batch.shape().head_dim, kv_head = head / batch.shape().group();
  double sum = 0;
  for (int64_t position = 0; position <= batch.positions[row]; ++position) {
    const int64_t key_row = batch.row_at(static_cast<size_t>(batch.row_sequences[row]), position);
    const Dot score(&turned[row * batch.width() + head * dim],
                    &turned[key_row * batch.width() + batch.q_width() + kv_head * dim], dim);
    sum += std::exp(score.value / std::sqrt(static_cast<double>(dim)));
  }
  return std::log(sum);
}

void expect_lse(const Batch& batch, const std::vector<float>& turned, const std::vector<float>& lse) {
  const std::set<int32_t> lengths = {1, 15, 16, 17, 255, 256, 257, 258, 300, 512, 513, 700, 1024, 1025, 1040};
  for (const float value : lse) ASSERT_TRUE(std::isfinite(value));
  for (int64_t row = 0; row < batch.num_rows(); ++row) {
    if (!lengths.contains(batch.positions[row] + 1)) continue;
    for (int64_t head = 0; head < batch.shape().num_heads; ++head) {
      // f32 scores of up to 128 terms of order 1, and exp2f: some 1e-6. One key more or less of 1,040 moves it by 1e-3.
      ASSERT_NEAR(lse[head * batch.num_rows() + row], log_sum_exp(batch, turned, row, head), 2e-5)
          << "row " << row << ", head " << head;
    }
  }
}

TEST_F(AttentionOnGpu, RotaryAndAttentionAreTheCpus) {
  for (const int64_t dim : kHeadDims) {
    const std::vector<float> table = rotary_table(dim, true);
    for (int64_t group = 1; group <= 8; ++group) {
      if (kIsEmulated && (dim / 16 + group) % 4 != 0) continue;
      SCOPED_TRACE(cat("head_dim ", dim, ", group ", group));
      Batch batch(make_shape(2, group, dim), kSequences, 101);
      batch.turn_and_store(table);
      const std::vector<float> turned = widened(batch.gpu_qkv);
      expect_turned(batch, turned, table);
      const Attended attended = batch.attend(group % 2 == 0 ? kLongest : 2048);  // some splits without a key
      const std::vector<float> y = batch.y_of(attended), want = attention_on_cpu(batch, turned);
      // Weights are rounded to bf16 before the product with values, all below 1: 2^-8 of their sum, which is 1.
      expect_bf16(y, want, 0x1p-8, "attention");
      expect_lse(batch, turned, from_gpu<float>(attended.lse));
      for (int64_t row = 0; row < batch.num_rows(); ++row) {
        if (batch.positions[row] > 0) continue;
        for (int64_t i = 0; i < batch.q_width(); ++i) {
          const int64_t at = i / dim / group * dim + i % dim;
          ASSERT_EQ(y[row * batch.q_width() + i], turned[(row + 1) * batch.width() - batch.kv_width() + at])
              << "one key has the weight 1";
        }
      }
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST_F(AttentionOnGpu, OneKeyHeadAndManyKeyHeads) {
  for (const int64_t num_kv_heads : {1, 3, 8}) {
    SCOPED_TRACE(cat(num_kv_heads, " key heads"));
    Batch batch(make_shape(num_kv_heads, 4, 64), kSequences, 111);
    batch.turn_and_store(rotary_table(64, true));
    const std::vector<float> turned = widened(batch.gpu_qkv);
    const Attended attended = batch.attend(kLongest);
    expect_bf16(batch.y_of(attended), attention_on_cpu(batch, turned), 0x1p-8, "attention");  // as above
    expect_lse(batch, turned, from_gpu<float>(attended.lse));
  }
}

// A rotation's transpose is its inverse, so the gradient of what was turned is what was turned.
TEST_F(AttentionOnGpu, RotaryBackwardUndoesRotary) {
  for (const int64_t dim : kHeadDims) {
    Batch batch(make_shape(2, 7, dim), kSequences, 121);
    const Tensor table = on_gpu(rotary_table(dim, true));
    cuda::rotary(stream(), batch.num_rows(), batch.gpu_shape(), bf16(batch.gpu_qkv), i32(batch.gpu_positions),
                 f32(table), {}, nullptr, nullptr);
    const int64_t q = batch.q_width(), kv = batch.kv_width();
    const Tensor turned = batch.gpu_qkv.view({batch.num_rows(), batch.width()});
    const Tensor parts[] = {turned.narrow(1, 0, q).contiguous(), turned.narrow(1, q, kv).contiguous(),
                            turned.narrow(1, q + kv, kv).contiguous()};
    const Tensor back = poisoned(batch.num_rows() * batch.width(), at::kBFloat16);
    cuda::rotary_backward(stream(), batch.num_rows(), batch.gpu_shape(), bf16(parts[0]), bf16(parts[1]), bf16(parts[2]),
                          i32(batch.gpu_positions), f32(table), bf16(back), batch.width());
    const std::vector<float> result = widened(back);
    for (int64_t i = 0; i < batch.num_rows() * batch.width(); ++i) {
      const int64_t within = i % dim, other = within < dim / 2 ? i + dim / 2 : i - dim / 2;
      // Both of a pair are rounded when turned, 2^-8 of the pair's length, which turning back keeps; then once more.
      const double pair = std::hypot(batch.qkv[i], batch.qkv[other]);
      ASSERT_NEAR(result[i], batch.qkv[i], kBf16Rounding * (pair + std::abs(batch.qkv[i]))) << "head_dim " << dim;
      if (i % batch.width() >= batch.q_width() + batch.kv_width()) {
        ASSERT_EQ(result[i], batch.qkv[i]) << "a value";
      }
    }
  }
}

TEST_F(AttentionOnGpu, ResultsOfARowDependOnItAlone) {
  constexpr int64_t kFirst = 1000, kCount = 64;  // 40 rows of the longest sequence, 24 of the second
  for (const int64_t dim : {64, 128}) {
    Batch batch(make_shape(2, 7, dim), kSequences, 131);
    batch.turn_and_store(rotary_table(dim, true));
    const auto run = [&](int64_t first, int64_t count) {
      const Tensor qkv = rows_of(batch.gpu_qkv, kFirst + first, count, batch.width());
      const Tensor positions = rows_of(batch.gpu_positions, kFirst + first, count, 1);
      const Tensor sequences = rows_of(batch.gpu_sequences, kFirst + first, count, 1);
      const int64_t max_length = count == 1 ? 4096 : kLongest;
      const Attended attended =
          batch.attend(qkv, positions, batch.gpu_tables, sequences, max_length, batch.scratch(count, max_length));
      const std::vector<float> y = batch.y_of(attended), lse = from_gpu<float>(attended.lse);
      std::vector<float> results;  // y, then the lse of all heads, row after row
      for (int64_t row = 0; row < count; ++row) {
        results.insert(results.end(), &y[row * batch.q_width()], &y[row * batch.q_width()] + batch.q_width());
        for (int64_t head = 0; head < batch.shape().num_heads; ++head) results.push_back(lse[head * count + row]);
      }
      return results;
    };
    expect_rows_stand_alone(kCount, run, cat("head_dim ", dim));
  }
}

TEST_F(AttentionOnGpu, ScratchServesAgain) {
  Batch batch(make_shape(2, 3, 64), kSequences, 141);
  batch.turn_and_store(rotary_table(64, true));
  const Tensor scratch = batch.scratch(batch.num_rows(), kLongest);
  const auto run = [&] {
    return batch.attend(batch.gpu_qkv, batch.gpu_positions, batch.gpu_tables, batch.gpu_sequences, kLongest, scratch);
  };
  const Attended first = run();
  for (int i = 0; i < (kIsEmulated ? 2 : 20); ++i) {
    const Attended next = run();
    ASSERT_EQ(from_gpu<uint16_t>(next.y), from_gpu<uint16_t>(first.y)) << "call " << i;
    ASSERT_EQ(from_gpu<uint32_t>(next.lse), from_gpu<uint32_t>(first.lse)) << "call " << i;
  }
}

TEST_F(AttentionOnGpu, JoinedAttentionIsThatToTheUnionOfKeys) {
  constexpr int64_t kFirstKeys = 112;  // 7 full pages
  const std::vector<int32_t> of_first(6, kFirstKeys - 1), of_second = {187, 0, 15, 100, 50, 16};
  std::vector<int32_t> of_union;
  for (const int32_t position : of_second) of_union.push_back(kFirstKeys + position);
  const int64_t count = 6;
  for (const int64_t dim : {16, 80, 128}) {
    Batch batch(make_shape(2, 7, dim), {{0, kFirstKeys}, {0, 188}}, 161);
    batch.turn_and_store(rotary_table(dim, false));
    std::vector<int32_t> tables = batch.tables;  // and a third: the pages of the first, then those of the second
    tables.insert(tables.end(), &batch.tables[0], &batch.tables[0] + kFirstKeys / kPageSize);
    tables.insert(tables.end(), &batch.tables[batch.max_pages()],
                  &batch.tables[batch.max_pages()] + batch.max_pages() - kFirstKeys / kPageSize);
    const Tensor queries = rows_of(batch.gpu_qkv, 0, count, batch.width()), gpu_tables = on_gpu(tables);
    const auto attend = [&](const std::vector<int32_t>& positions, int32_t table) {
      const Tensor scratch = batch.scratch(count, kLongest);
      return batch.attend(queries, on_gpu(positions), gpu_tables, on_gpu(std::vector<int32_t>(6, table)), kLongest,
                          scratch);
    };
    const Attended first = attend(of_first, 0), second = attend(of_second, 1), whole = attend(of_union, 2);
    const Tensor y = bf16_on_gpu(batch.y_of(first)), other = bf16_on_gpu(batch.y_of(second));
    cuda::join_attention(stream(), count, batch.shape().num_heads, dim, bf16(y), f32(first.lse), bf16(other),
                         f32(second.lse));
    // Each attention rounds its weights, the parts are rounded before they are joined: 2^-8 each, of values below 1.
    expect_bf16(widened(y), batch.y_of(whole), 4 * 0x1p-8, cat("head_dim ", dim));
    const std::vector<float> lse = from_gpu<float>(first.lse), want = from_gpu<float>(whole.lse);
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(lse[i], want[i], 1e-5) << i;  // f32 of numbers below 10
  }
}

TEST_F(AttentionOnGpu, JoinWeighsByLogSumExpAndSkipsRowsThatSawNoKey) {
  constexpr int64_t kRows = 5, kHeads = 14;
  for (const int64_t dim : kHeadDims) {
    const int64_t width = kHeads * dim;
    const std::vector<float> y = bf16_values(kRows * width, 171);
    std::vector<float> other = bf16_values(kRows * width, 172);
    const std::vector<float> lse = random_values(kHeads * kRows, 173, -4.0f, 9.0f);
    std::vector<float> other_lse = random_values(kHeads * kRows, 174, -4.0f, 9.0f);
    for (int64_t head = 0; head < kHeads; ++head) {
      other_lse[head * kRows + 1] = -kInfinity;
      other_lse[head * kRows + 2] += 200.0f;  // e^200 is not a number of f32
      other_lse[head * kRows + 3] -= 200.0f;
    }
    std::fill_n(&other[width], width, kNan);  // of the row that saw none
    const Tensor gpu_y = bf16_on_gpu(y), gpu_lse = on_gpu(lse);
    const Tensor gpu_other = bf16_on_gpu(other), gpu_other_lse = on_gpu(other_lse);
    cuda::join_attention(stream(), kRows, kHeads, dim, bf16(gpu_y), f32(gpu_lse), bf16(gpu_other), f32(gpu_other_lse));
    const std::vector<float> joined_y = widened(gpu_y), joined_lse = from_gpu<float>(gpu_lse);
    for (int64_t i = 0; i < kRows * width; ++i) {
      const int64_t cell = i % width / dim * kRows + i / width;
      if (i / width == 1) {
        ASSERT_EQ(joined_y[i], y[i]);
        ASSERT_EQ(joined_lse[cell], lse[cell]);
        continue;
      }
      const double a = lse[cell], b = other_lse[cell], most = std::max(a, b);
      const double total = std::exp(a - most) + std::exp(b - most);
      const double want = (std::exp(a - most) * y[i] + std::exp(b - most) * other[i]) / total;
      ASSERT_NEAR(joined_y[i], want, kBf16Rounding * std::abs(want) + 2e-6) << "f32's error of terms below 1";
      ASSERT_NEAR(joined_lse[cell], most + std::log(total), 3e-5) << "half a step of f32 above 128, and logf";
    }
  }
}

TEST_F(AttentionOnGpu, CopyPageCopiesInAllLayersAndNothingElse) {
  constexpr int64_t kNumPages = 7, kNumLayers = 3, kFrom = 5, kTo = 2;
  for (const int64_t dim : {16, 80, 128}) {
    const cuda::KvShape shape{.num_heads = 6, .num_kv_heads = 3, .head_dim = dim};
    const int64_t page_size = shape.page_size(), layer_stride = kNumPages * page_size + 64;
    std::vector<float> keys = bf16_values(kNumLayers * layer_stride, 151);
    std::vector<float> values = bf16_values(kNumLayers * layer_stride, 152);
    const Tensor gpu_keys = bf16_on_gpu(keys), gpu_values = bf16_on_gpu(values);
    cuda::copy_page(stream(), kFrom, kTo, shape, kNumLayers, layer_stride, bf16(gpu_keys), bf16(gpu_values));
    for (std::vector<float>* pages : {&keys, &values}) {
      for (int64_t layer = 0; layer < kNumLayers; ++layer) {
        float* first = pages->data() + layer * layer_stride;
        std::copy_n(first + kFrom * page_size, page_size, first + kTo * page_size);
      }
    }
    EXPECT_EQ(widened(gpu_keys), keys) << "head_dim " << dim;
    EXPECT_EQ(widened(gpu_values), values) << "head_dim " << dim;
  }
}

}  // namespace
}  // namespace noregret::kernels
