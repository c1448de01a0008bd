#include "noregret/nn/linear.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include <bit>
#include <limits>
#include <stdexcept>

#include "tests/nn/engine_support.h"

namespace noregret {
namespace {

// Values in [-1, 1), a pure function of the seed.
Tensor random(int64_t out, int64_t in, uint64_t seed = 1) {
  const Tensor values = at::empty({out, in}, at::kFloat);
  Rng rng(seed);
  for (int64_t i = 0; i < out * in; ++i) values.mutable_data_ptr<float>()[i] = rng.uniform(-1.0f, 1.0f);
  return values;
}

Tensor ids_of(const std::vector<int64_t>& ids) { return at::tensor(ids, at::kLong); }

Tensor unpacked(const kernels::PackedMatrix& panels) {
  const Tensor values = at::empty({panels.out(), panels.in()}, at::kFloat);
  panels.unpack(0, panels.out(), values.mutable_data_ptr<float>());
  return values;
}

// [out, in], around the panels' 16 outputs and the words' two inputs.
constexpr std::pair<int64_t, int64_t> kSizes[] = {{1, 1}, {15, 3}, {16, 2}, {17, 5}, {33, 16}, {50, 31}};

TEST(Linear, PackedWeightsComeBackBitForBit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto& [out, in] : kSizes) {
      const Tensor weight = random(out, in).to(dtype);
      const Linear linear = Linear::packed(weight);
      EXPECT_TRUE(linear.is_packed());
      EXPECT_EQ(linear.out(), out);
      EXPECT_EQ(linear.in(), in);
      expect_same_bits(linear.weight(), weight.to(at::kFloat));
    }
  }
}

TEST(Linear, PackingKeepsTheSmallestAndLargestValues) {
  using Limits = std::numeric_limits<float>;
  const Tensor f32 = at::tensor({-0.0f, Limits::denorm_min(), -Limits::min(), Limits::max(), Limits::lowest(), 0.0f});
  expect_same_bits(Linear::packed(f32.view({2, 3})).weight(), f32.view({2, 3}));
  // The same in bf16: its smallest is 2^-133, its largest 0x7f7f.
  const Tensor bf16 = at::tensor({-0.0f, 0x1p-133f, -Limits::min(), std::bit_cast<float>(0x7f7f0000u), -1.0f, 0.0f});
  const Tensor narrow = bf16.view({2, 3}).to(at::kBFloat16);
  expect_same_bits(narrow.to(at::kFloat), bf16.view({2, 3}));
  expect_same_bits(Linear::packed(narrow).weight(), bf16.view({2, 3}));
}

TEST(Linear, PackedBf16TakesHalfTheMemoryOfF32) {
  const Linear f32 = Linear::packed(random(48, 64)), bf16 = Linear::packed(random(48, 64).to(at::kBFloat16));
  constexpr size_t kRoom = 48u * 8 * 4;  // for an adapter
  EXPECT_EQ(f32.panels().num_bytes(), 48u * 64 * 4 + kRoom);
  EXPECT_EQ(bf16.panels().num_bytes(), 48u * 64 * 2 + kRoom);
  EXPECT_EQ(bf16.transposed_panels(*std::make_unique<kernels::ThreadPool>(1)).num_bytes(), 48u * 64 * 2);
}

TEST(Linear, MatricesLieBehindThePanelsOneAfterTheOther) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& [out, in] : kSizes) {
      const Tensor weight = random(out, in).to(dtype);
      const Linear linear = Linear::packed(weight);
      const auto put = [&](size_t index, const Tensor& values) {
        Linear::Behind& behind = linear.behind(index, values.size(1));
        behind.matrix.pack(values.const_data_ptr<float>(), values.size(1), 1);
        behind.content = index + 1;
      };
      const Tensor first = random(out, 2, 2), second = random(out, 9, 3), other = random(out, 5, 4);
      EXPECT_THROW(linear.behind(1, 2), std::logic_error);
      put(0, first);
      put(1, second);  // for which the panels move
      expect_same_bits(unpacked(linear.behind(0, 2).matrix), first);
      expect_same_bits(unpacked(linear.behind(1, 9).matrix), second);
      EXPECT_EQ(linear.behind(0, 2).content, 1u);
      EXPECT_EQ(linear.behind(1, 9).content, 2u);
      put(0, other);
      expect_same_bits(unpacked(linear.behind(0, 5).matrix), other);
      EXPECT_EQ(linear.behind(1, 9).content, 0u) << "its place is another's";
      expect_same_bits(linear.weight(), weight.to(at::kFloat));
    }
  }
}

TEST(Linear, PanelsStayWhereTheyAreForRank8) {
  const Linear linear = Linear::packed(random(40, 21));
  const std::byte* where = linear.panels().bytes();
  linear.behind(0, 3);
  linear.behind(1, 5);
  EXPECT_EQ(linear.panels().bytes(), where);
  linear.behind(2, 1);
  EXPECT_NE(linear.panels().bytes(), where);
}

TEST(Linear, AChangedTensorTakesWhatLiesBehindWithIt) {
  Tensor weight = random(20, 6);
  const Linear linear(weight);
  linear.behind(0, 3).content = 7;
  EXPECT_EQ(linear.behind(0, 3).content, 7u);
  weight.mul_(2.0);
  EXPECT_EQ(linear.behind(0, 3).content, 0u);
  expect_same_bits(unpacked(linear.panels()), weight);
}

TEST(Linear, ATransposedWeightIsPackedByItsElements) {
  const Tensor weight = random(19, 35).t();
  ASSERT_FALSE(weight.is_contiguous());
  expect_same_bits(Linear::packed(weight).weight(), weight);
  expect_same_bits(unpacked(Linear(weight).panels()), weight);
}

TEST(Linear, RowsAreThoseOfTheWeight) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Tensor weight = random(37, 13).to(dtype);
    const Tensor ids = ids_of({36, 0, 5, 5, 16, 15});
    expect_same_bits(Linear::packed(weight).rows(ids), weight.to(at::kFloat).index_select(0, ids));
    expect_same_bits(Linear(weight.to(at::kFloat)).rows(ids), weight.to(at::kFloat).index_select(0, ids));
  }
}

TEST(Linear, ARowBeyondTheLastIsABug) {
  const Linear packed = Linear::packed(random(20, 4)), kept(random(20, 4));
  for (const int64_t id : {int64_t{20}, int64_t{-1}}) {
    EXPECT_THROW(packed.rows(ids_of({3, id})), std::logic_error) << id;
    EXPECT_ANY_THROW(kept.rows(ids_of({3, id}))) << id;
  }
}

TEST(Linear, RowsOfATrainedWeightGiveItGradients) {
  Linear linear = Linear::packed(random(20, 4));
  EXPECT_FALSE(linear.rows(ids_of({3})).requires_grad());
  linear.set_trainable(true);
  linear.rows(ids_of({3, 7, 3})).sum().backward();
  const Tensor grad = linear.weight().grad();
  EXPECT_EQ(grad[3][0].item<float>(), 2.0f);
  EXPECT_EQ(grad[7][3].item<float>(), 1.0f);
  EXPECT_EQ(grad.sum().item<float>(), 12.0f);
}

TEST(Linear, ATensorIsSharedWithItsHolder) {
  const Tensor weight = random(5, 4);
  const Linear linear(weight);
  EXPECT_FALSE(linear.is_packed());
  EXPECT_TRUE(linear.weight().is_same(weight));
}

TEST(Linear, AnEmptyOneHasNoWeight) {
  const Linear linear;
  EXPECT_FALSE(linear.is_packed());
  EXPECT_FALSE(linear.weight().defined());
  EXPECT_EQ(linear.out(), 0);
}

TEST(Linear, TrainingTurnsPanelsIntoATensorOfTheSameBits) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Tensor weight = random(21, 9).to(dtype);
    Linear linear = Linear::packed(weight);
    linear.transposed_panels(*std::make_unique<kernels::ThreadPool>(1));
    linear.set_trainable(true);
    EXPECT_FALSE(linear.is_packed());
    EXPECT_TRUE(linear.weight().requires_grad());
    EXPECT_TRUE(linear.weight().is_same(linear.weight()));
    expect_same_bits(linear.weight(), weight.to(at::kFloat));
    expect_same_bits(unpacked(linear.panels()), weight.to(at::kFloat));
    linear.set_trainable(false);
    EXPECT_FALSE(linear.weight().requires_grad());
    expect_same_bits(linear.weight(), weight.to(at::kFloat));
  }
}

TEST(Linear, FreezingWhatIsFrozenChangesNothing) {
  const Tensor weight = random(21, 9);
  Linear linear = Linear::packed(weight);
  linear.set_trainable(false);
  EXPECT_TRUE(linear.is_packed());
  expect_same_bits(linear.weight(), weight);
}

TEST(Linear, PanelsFollowEveryChangeOfTheTensor) {
  kernels::ThreadPool pool(2);
  const Tensor weight = random(21, 9);
  Linear linear(weight);
  const auto expect_panels = [&](const std::string& what) {
    expect_same_bits(unpacked(linear.panels()), weight, what);
    expect_same_bits(unpacked(linear.transposed_panels(pool)), weight.t(), what + ", transposed");
  };
  expect_panels("at first");
  const at::NoGradGuard no_grad;
  linear.weight().add_(0.5f);
  expect_panels("in place");
  linear.weight().copy_(random(21, 9, 2));
  expect_panels("a copy");
  linear.weight()[20][8].fill_(3.0f);
  expect_panels("one element");
  linear.weight().detach().mul_(2.0f);
  expect_panels("through a detached handle");
  linear.set_trainable(true);
  linear.weight().sub_(0.25f);
  expect_panels("as an optimizer writes");
}

TEST(Linear, TransposedPanelsFollowWithoutAReadOfThePanelsBetween) {
  kernels::ThreadPool pool(1);
  Linear linear(random(21, 9));
  linear.transposed_panels(pool);
  linear.weight().fill_(1.5f);
  expect_same_bits(unpacked(linear.transposed_panels(pool)), at::full({9, 21}, 1.5f));
}

TEST(Linear, PanelsAreKeptWhileTheTensorStays) {
  kernels::ThreadPool pool(1);
  const Linear linear(random(21, 9));
  const kernels::PackedMatrix *panels = &linear.panels(), *transposed = &linear.transposed_panels(pool);
  EXPECT_EQ(&linear.panels(), panels);
  EXPECT_EQ(&linear.transposed_panels(pool), transposed);
}

TEST(Linear, TransposedPanelsAreExactAtEverySize) {
  kernels::ThreadPool pool(2);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& [out, in] : kSizes) {
      const Tensor weight = random(out, in).to(dtype);
      expect_same_bits(unpacked(Linear::packed(weight).transposed_panels(pool)), weight.to(at::kFloat).t());
    }
  }
}

}  // namespace
}  // namespace noregret
