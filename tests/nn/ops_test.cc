#include "noregret/nn/ops.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/view_as_real.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "noregret/base/rng.h"
#include "tests/nn/nn_support.h"

namespace noregret {
namespace {

// Values in [-1, 1), a pure function of the seed.
Tensor random(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype = at::kFloat) {
  std::vector<double> values(at::ones(shape).numel());
  Rng rng(seed);
  for (double& value : values) value = rng.uniform(-1.0f, 1.0f);
  return at::tensor(values, at::kDouble).to(dtype).view(shape);
}

// Central differences against backward(), for f64 leaves. The error of h = 1e-6 is about 1e-9.
void expect_gradients(const std::function<Tensor()>& loss, const std::vector<Tensor>& leaves) {
  for (const Tensor& leaf : leaves) leaf.mutable_grad() = Tensor();
  loss().backward();
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Tensor grad = leaves[i].grad().contiguous();
    auto* data = leaves[i].mutable_data_ptr<double>();
    for (int64_t j = 0; j < leaves[i].numel(); ++j) {
      constexpr double kStep = 1e-6;
      const double kept = data[j];
      data[j] = kept + kStep;
      const double above = loss().item<double>();
      data[j] = kept - kStep;
      const double below = loss().item<double>();
      data[j] = kept;
      EXPECT_NEAR(grad.const_data_ptr<double>()[j], (above - below) / (2 * kStep), 1e-7)
          << "leaf " << i << " element " << j;
    }
  }
}

std::vector<LinearSite> one_site(int64_t in, int64_t out) { return {{"lm_head", in, out, {}}}; }

TEST(RmsNorm, MatchesHandComputedValue) {
  const Tensor y = ops::rms_norm(at::tensor({3.0f, 4.0f}).view({1, 2}), at::tensor({1.0f, 2.0f}), 0.0);
  EXPECT_NEAR(y[0][0].item<double>(), 3.0 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(y[0][1].item<double>(), 8.0 / std::sqrt(12.5), 1e-6);
}

TEST(RmsNorm, SumsBf16InF32) {
  // 4096 ones: a bf16 sum stops at 256, and the mean would be 1/16.
  const Tensor y = ops::rms_norm(at::ones({1, 4096}, at::kBFloat16), at::ones({4096}, at::kBFloat16), 0.0);
  EXPECT_EQ(y[0][0].item<float>(), 1.0f);
}

TEST(RmsNorm, GradientMatchesFiniteDifferences) {
  const Tensor x = random({3, 5}, 1, at::kDouble).requires_grad_();
  const Tensor weight = random({5}, 2, at::kDouble).requires_grad_();
  const Tensor mix = random({3, 5}, 3, at::kDouble);
  expect_gradients([&] { return ops::rms_norm(x, weight, 1e-5).mul(mix).sum(); }, {x, weight});
}

TEST(RmsNorm, GradientOfBf16IsBf16) {
  const Tensor x = random({3, 8}, 1, at::kBFloat16).requires_grad_();
  const Tensor weight = random({8}, 2, at::kBFloat16).requires_grad_();
  ops::rms_norm(x, weight, 1e-5).sum().backward();
  EXPECT_EQ(x.grad().scalar_type(), at::kBFloat16);
  EXPECT_EQ(weight.grad().scalar_type(), at::kBFloat16);
}

TEST(Swiglu, MatchesHandComputedValue) {
  const Tensor y = ops::swiglu(at::tensor({1.5}), at::tensor({-2.0}));
  EXPECT_NEAR(y.item<double>(), -2.0 * 1.5 / (1.0 + std::exp(-1.5)), 1e-12);
}

TEST(Swiglu, GradientMatchesFiniteDifferences) {
  const Tensor gate = random({2, 4}, 4, at::kDouble).requires_grad_();
  const Tensor up = random({2, 4}, 5, at::kDouble).requires_grad_();
  expect_gradients([&] { return ops::swiglu(gate, up).pow(2).sum(); }, {gate, up});
}

TEST(Rotary, TurnsAPairByPositionTimesFrequency) {
  // head_dim 4, theta 100: frequencies 1 and 1/10. Element i pairs with element i + 2.
  const Tensor table = ops::rotary_table({.theta = 100.0}, 4, 8, at::kCPU);
  const Tensor x = at::tensor({1.0f, 0.0f, 0.0f, 1.0f}).view({1, 1, 4});
  const Tensor y = ops::rotary(x, table.narrow(0, 3, 1).unsqueeze(1)).flatten();
  EXPECT_NEAR(y[0].item<double>(), std::cos(3.0), 1e-6);
  EXPECT_NEAR(y[2].item<double>(), std::sin(3.0), 1e-6);
  EXPECT_NEAR(y[1].item<double>(), -std::sin(0.3), 1e-6);
  EXPECT_NEAR(y[3].item<double>(), std::cos(0.3), 1e-6);
}

TEST(Rotary, PositionZeroChangesNothing) {
  const Tensor table = ops::rotary_table({}, 6, 1, at::kCPU);
  const Tensor x = random({1, 2, 6}, 6);
  EXPECT_TRUE(at::equal(ops::rotary(x, table.unsqueeze(1)), x));
}

TEST(Rotary, GradientMatchesFiniteDifferences) {
  RopeOptions rope;
  rope.type = RopeOptions::Type::kYarn;  // lengths other than 1
  rope.factor = 4.0;
  rope.original_max_positions = 16;
  const Tensor rotation = ops::rotary_table(rope, 6, 5, at::kCPU).narrow(0, 2, 3).unsqueeze(1);
  const Tensor x = random({3, 2, 6}, 6, at::kDouble).requires_grad_();
  const Tensor mix = random({3, 2, 6}, 7, at::kDouble);
  expect_gradients([&] { return ops::rotary(x, rotation).mul(mix).sum(); }, {x});
}

TEST(Rotary, KeepsBf16) {
  const Tensor table = ops::rotary_table({}, 4, 2, at::kCPU);
  EXPECT_EQ(ops::rotary(random({2, 1, 4}, 7, at::kBFloat16), table.unsqueeze(1)).scalar_type(), at::kBFloat16);
}

TEST(RotaryTable, AnglesAreRoundedToF32AsTransformersRoundsThem) {
  // transformers 5.17.0, theta 1e5, head_dim 64; the cosine of the exact angle is 0.2797638.
  const Tensor row = ops::rotary_table({.theta = 1e5}, 64, 5000, at::kCPU)[4999];
  EXPECT_NEAR(at::view_as_real(row)[1][0].item<double>(), 0.2797788, 1e-6);
}

TEST(RotaryTable, LinearScalingDividesPositions) {
  RopeOptions rope;
  const Tensor plain = at::view_as_real(ops::rotary_table(rope, 8, 3, at::kCPU));
  rope.type = RopeOptions::Type::kLinear;
  rope.factor = 2.0;
  const Tensor scaled = at::view_as_real(ops::rotary_table(rope, 8, 5, at::kCPU));
  EXPECT_LT(max_difference(scaled[4], plain[2]), 1e-7);  // both worked out in f64
}

TEST(RotaryTable, YarnScalesLengthsByItsAttentionFactor) {
  RopeOptions rope;
  rope.type = RopeOptions::Type::kYarn;
  rope.factor = 4.0;
  rope.original_max_positions = 16;
  const Tensor first = ops::rotary_table(rope, 8, 64, at::kCPU)[0];
  EXPECT_NEAR(at::view_as_real(first)[0][0].item<double>(), 0.1 * std::log(4.0) + 1.0, 1e-6);
}

TEST(Linear, EmptyStackIsThePlainProduct) {
  const Tensor x = random({5, 7}, 8);
  const Tensor weight = random({4, 7}, 9);
  EXPECT_TRUE(at::equal(ops::linear(x, weight, {}, 0), at::linear(x, weight)));
}

TEST(Linear, FreshAdapterGivesTheBaseBitForBit) {
  const Tensor x = random({5, 7}, 8);
  const Tensor weight = random({4, 7}, 9);
  const Adapter adapter = Adapter::create(one_site(7, 4), adapter_options(3, 32), 1, at::kCPU);
  EXPECT_TRUE(at::equal(ops::linear(x, weight, {&adapter}, 0), at::linear(x, weight)));
}

TEST(Linear, AddsAlphaOverRankTimesTheLowRankPath) {
  const Tensor x = random({5, 7}, 8);
  const Tensor weight = random({4, 7}, 9);
  const Adapter adapter = Adapter::create(one_site(7, 4), adapter_options(3, 20), 1, at::kCPU);
  fill_b(adapter, 1.0f, 2);
  const Tensor delta = adapter.find(0)->b.matmul(adapter.find(0)->a).mul(20.0 / 3.0);
  EXPECT_LT(max_difference(ops::linear(x, weight, {&adapter}, 0), at::linear(x, weight.add(delta))),
            1e-5);  // f32 sums of 7
}

TEST(Linear, StackedAdaptersAddUp) {
  const Tensor x = random({5, 7}, 8);
  const Tensor weight = random({4, 7}, 9);
  const Adapter first = Adapter::create(one_site(7, 4), adapter_options(3, 20), 1, at::kCPU);
  const Adapter second = Adapter::create(one_site(7, 4), adapter_options(1, 32), 2, at::kCPU);
  fill_b(first, 1.0f, 3);
  fill_b(second, 1.0f, 4);
  const Tensor base = at::linear(x, weight);
  const Tensor one = ops::linear(x, weight, {&first}, 0).sub(base);
  const Tensor other = ops::linear(x, weight, {&second}, 0).sub(base);
  EXPECT_LT(max_difference(ops::linear(x, weight, {&first, &second}, 0).sub(base), one.add(other)),
            1e-4);  // values up to 100
}

TEST(Linear, Bf16BaseTakesAnF32Adapter) {
  const Adapter adapter = Adapter::create(one_site(7, 4), adapter_options(3, 20), 1, at::kCPU);
  fill_b(adapter, 1.0f, 2);
  const Tensor x = random({5, 7}, 8, at::kBFloat16);
  const Tensor weight = random({4, 7}, 9, at::kBFloat16);
  const Tensor got = ops::linear(x, weight, {&adapter}, 0);
  EXPECT_EQ(got.scalar_type(), at::kBFloat16);
  const Tensor want = ops::linear(x.to(at::kFloat), weight.to(at::kFloat), {&adapter}, 0);
  EXPECT_LT(max_difference(got.to(at::kFloat), want) / want.abs().max().item<double>(), 0.02);  // bf16 keeps 8 bits
}

TEST(Linear, GradientsOfInputAndAdapterMatchFiniteDifferences) {
  Adapter adapter = Adapter::create(one_site(4, 3), adapter_options(2, 5), 1, at::kCPU);
  fill_b(adapter, 1.0f, 2);
  for (const auto& [name, tensor] : adapter.parameters()) tensor.set_data(tensor.to(at::kDouble));
  adapter.set_trainable(true);
  const Tensor x = random({3, 4}, 8, at::kDouble).requires_grad_();
  const Tensor weight = random({3, 4}, 9, at::kDouble);
  const auto loss = [&] { return ops::linear(x, weight, {&adapter}, 0).pow(2).sum(); };
  expect_gradients(loss, {x, adapter.find(0)->a, adapter.find(0)->b});
}

TEST(Attention, GradientsWithASharedPrefixMatchFiniteDifferences) {
  HfConfig config = tiny_config();
  TokenBatch batch;
  batch.ids = at::arange(9, at::kLong);
  batch.positions = at::tensor({0, 1, 2, 3, 4, 3, 0, 1, 2}, at::kLong);
  batch.segments = {{0, 3, -1, -1}, {3, 2, 0, -1}, {5, 1, 0, -1}, {6, 2, -1, -1}, {8, 1, 3, -1}};
  ops::AttentionPlan plan = ops::plan_attention(batch, config, nullptr, ops::rotary_table({}, 6, 48, at::kCPU));
  plan.mask = plan.mask.to(at::kDouble);
  const Tensor q = random({9, 4, 6}, 1, at::kDouble).requires_grad_();
  const Tensor k = random({9, 2, 6}, 2, at::kDouble).requires_grad_();
  const Tensor v = random({9, 2, 6}, 3, at::kDouble).requires_grad_();
  expect_gradients([&] { return ops::attention(q, k, v, plan, nullptr, 0).pow(2).sum(); }, {q, k, v});
}

}  // namespace
}  // namespace noregret
