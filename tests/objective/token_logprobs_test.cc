#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "noregret/base/error.h"
#include "noregret/objective/policy_loss.h"
#include "tests/objective/objective_support.h"

namespace noregret {
namespace {

using testing::HasSubstr;

constexpr double kF32 = 1e-6;  // rounding of f32 log-probs of order 1

Tensor ids(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

TEST(TokenLogprobs, MatchHandComputedValues) {
  const Tensor logits = f32({0.0, std::log(3.0), std::log(4.0), 0.0}).view({2, 2});  // p = {1/4, 3/4}, {4/5, 1/5}
  expect_near(token_logprobs(logits, ids({1, 1}), 1.0), {std::log(0.75), std::log(0.2)}, kF32);
}

TEST(TokenLogprobs, AreOfTheTemperedDistribution) {
  const Tensor logits = f32({0.0, 2.0 * std::log(3.0)}).view({1, 2});
  expect_near(token_logprobs(logits, ids({0}), 2.0), {std::log(0.25)}, kF32);
}

TEST(TokenLogprobs, StayFiniteForLargeLogits) {
  const Tensor logits = f32({1e4, -1e4, 0.0}).view({1, 3});
  expect_near(token_logprobs(logits, ids({0}), 1.0), {0.0}, 0.0);
  expect_near(token_logprobs(logits, ids({1}), 1.0), {-2e4}, 0.0);
}

TEST(TokenLogprobs, KeepTheirPrecisionWhereAllLogitsAreLarge) {
  // The maximum is taken off first; log-sum-exp subtracted from 4096 would lose 2e-4.
  const Tensor logits = at::full({1, 4}, 4096.0, at::kFloat);
  expect_near(token_logprobs(logits, ids({2}), 1.0), {-std::log(4.0)}, kF32);
}

TEST(TokenLogprobs, RunInF32WhateverTheDtypeOfTheLogits) {
  const Tensor logits = f32(random_values(24, -3.0, 3.0, 1)).view({2, 12}).to(at::kBFloat16);
  const Tensor logprobs = token_logprobs(logits, ids({3, 7}), 1.0);
  EXPECT_EQ(logprobs.scalar_type(), at::kFloat);
  const Tensor exact = at::log_softmax(logits.to(at::kDouble), 1);
  expect_near(logprobs, {exact[0][3].item<double>(), exact[1][7].item<double>()}, kF32);
}

TEST(TokenLogprobs, GradientIsOnehotMinusPOverTemperature) {
  const Tensor logits = f32(random_values(10, -2.0, 2.0, 2)).view({2, 5}).requires_grad_();
  const double temperature = 0.7;
  token_logprobs(logits, ids({4, 0}), temperature).sum().backward();
  Tensor want = at::softmax(logits.detach().to(at::kDouble).div(temperature), 1).neg();
  want[0][4] += 1.0;
  want[1][0] += 1.0;
  expect_near(logits.grad(), values_of(want.div(temperature)), kF32);
}

TEST(TokenLogprobs, OfNoRowsAreEmpty) {
  EXPECT_EQ(token_logprobs(at::zeros({0, 4}), ids({}), 1.0).sizes(), at::IntArrayRef{0});
}

TEST(TokenLogprobs, RefuseATemperatureThatIsNotPositive) {
  for (const double temperature : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THAT(error_of<ConfigError>([&] {
                  token_logprobs(at::zeros({1, 2}), ids({0}), temperature);
                }),
                HasSubstr("want > 0"));
    EXPECT_THAT(error_of<ConfigError>([&] { token_entropy(at::zeros({1, 2}), temperature); }), HasSubstr("want > 0"));
  }
}

TEST(TokenLogprobs, RefuseWrongShapesAndDtypes) {
  EXPECT_THAT(error_of<ShapeError>([] { token_logprobs(at::zeros({3}), ids({0}), 1.0); }), HasSubstr("logits is [3]"));
  EXPECT_THAT(error_of<ShapeError>([] {
                token_logprobs(at::zeros({2, 3}), ids({0}), 1.0);
              }),
              HasSubstr("targets is [1], want [2]"));
  EXPECT_THAT(error_of<ShapeError>([] {
                token_logprobs(at::zeros({1, 3}), f32({0.0}), 1.0);
              }),
              HasSubstr("targets is Float"));
  EXPECT_THAT(error_of<ShapeError>([] {
                token_logprobs(at::zeros({1, 3}, at::kLong), ids({0}), 1.0);
              }),
              HasSubstr("want a float dtype"));
}

TEST(TokenEntropy, OfAUniformDistributionIsLogV) {
  expect_near(token_entropy(at::zeros({1, 7}), 1.0), {std::log(7.0)}, kF32);
}

TEST(TokenEntropy, OfACertainTokenIsZero) {
  expect_near(token_entropy(f32({500.0, 0.0, -500.0}).view({1, 3}), 1.0), {0.0}, 0.0);
}

TEST(TokenEntropy, MatchesHandComputedValueAtATemperature) {
  const Tensor logits = f32({0.0, 2.0 * std::log(3.0)}).view({1, 2});  // at temperature 2: p = {1/4, 3/4}
  expect_near(token_entropy(logits, 2.0), {0.25 * std::log(4.0) + 0.75 * std::log(4.0 / 3.0)}, kF32);
}

TEST(TokenEntropy, GradientIsMinusPTimesLogPPlusH) {
  const Tensor logits = f32(random_values(6, -2.0, 2.0, 3)).view({1, 6}).requires_grad_();
  token_entropy(logits, 1.0).sum().backward();
  const Tensor logp = at::log_softmax(logits.detach().to(at::kDouble), 1);
  const Tensor p = logp.exp();
  const Tensor entropy = p.mul(logp).sum().neg();
  expect_near(logits.grad(), values_of(p.mul(logp.add(entropy)).neg()), kF32);
}

}  // namespace
}  // namespace noregret
