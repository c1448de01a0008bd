#include "noregret/rollout/sampler.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "noregret/base/error.h"
#include "noregret/base/rng.h"

namespace noregret {
namespace {

// Logits [1, V] whose softmax is `probs`.
Tensor logits_of(const std::vector<float>& probs) { return at::tensor(probs).log().unsqueeze(0); }

// Logits [rows, V] that look random, from a counter-based stream.
Tensor random_logits(int64_t rows, int64_t vocab_size, uint64_t key) {
  Rng rng(key);
  std::vector<float> values;
  for (int64_t i = 0; i < rows * vocab_size; ++i) values.push_back(rng.uniform(-4.0f, 4.0f));
  return at::tensor(values).view({rows, vocab_size});
}

TEST(SampleTokens, InvertsTheCumulativeDistribution) {
  const Tensor logits = logits_of({0.5f, 0.25f, 0.125f, 0.125f});
  // Boundaries 0.5, 0.75, 0.875: enumerated with uniforms 1/16 apart, off the boundaries by 1/32.
  const std::vector<int64_t> want = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3};
  for (int i = 0; i < 16; ++i) {
    const float uniform = static_cast<float>(i) / 16.0f + 1.0f / 32.0f;
    EXPECT_EQ(sample_tokens(logits, 1.0, {uniform}).ids[0], want[i]) << "uniform " << uniform;
  }
}

TEST(SampleTokens, TakesTheFirstIdWithProbabilityAtUniformZero) {
  const float low = std::log(std::numeric_limits<float>::denorm_min()) - 200.0f;  // probability rounds to 0
  EXPECT_EQ(sample_tokens(at::tensor({low, 0.0f, 0.0f}).unsqueeze(0), 1.0, {0.0f}).ids[0], 1);
}

TEST(SampleTokens, TakesTheLastIdWithProbabilityAtTheLargestUniform) {
  const float largest = 1.0f - 1.0f / 16777216.0f;
  const float low = -400.0f;  // probability rounds to 0
  EXPECT_EQ(sample_tokens(at::tensor({0.0f, 0.0f, low}).unsqueeze(0), 1.0, {largest}).ids[0], 1);
}

TEST(SampleTokens, FindsTheTokenBeyondTheFirstTile) {
  // 1000 equal probabilities: the id is floor(1000 u), across tiles of 256.
  const Tensor logits = at::zeros({1, 1000});
  for (const int64_t want : {0, 255, 256, 511, 512, 767, 999}) {
    const float uniform = (static_cast<float>(want) + 0.5f) / 1000.0f;
    EXPECT_EQ(sample_tokens(logits, 1.0, {uniform}).ids[0], want);
  }
}

TEST(SampleTokens, DrawsFromTheTemperedDistribution) {
  // softmax(ln p / 0.5) is proportional to p^2: 4/5 and 1/5 for p = 2/3, 1/3.
  const Tensor logits = logits_of({2.0f / 3.0f, 1.0f / 3.0f});
  EXPECT_EQ(sample_tokens(logits, 0.5, {0.79f}).ids[0], 0);
  EXPECT_EQ(sample_tokens(logits, 0.5, {0.81f}).ids[0], 1);
  EXPECT_NEAR(sample_tokens(logits, 0.5, {0.81f}).logprobs[0], std::log(0.2), 1e-6);  // f32 rounding
}

TEST(SampleTokens, TwentyThousandDrawsFollowTheProbabilities) {
  const std::vector<float> probs = {0.4f, 0.3f, 0.15f, 0.1f, 0.04f, 0.01f};
  const Tensor logits = logits_of(probs).expand({20000, 6}).contiguous();
  const Rng rng = Rng::stream(1, Purpose::kTrain, {1, 2, 3});
  std::vector<float> uniforms;
  for (uint64_t i = 0; i < 20000; ++i) uniforms.push_back(rng.uniform_at(i));
  std::vector<double> counts(6);
  for (const int64_t id : sample_tokens(logits, 1.0, uniforms).ids) counts[id] += 1.0;
  double chi_square = 0.0;
  for (size_t i = 0; i < 6; ++i) {
    const double want = 20000.0 * probs[i];
    chi_square += (counts[i] - want) * (counts[i] - want) / want;
  }
  EXPECT_LT(chi_square, 20.515);  // 0.1 % point of chi-square with 5 degrees of freedom
}

TEST(SampleTokens, ReportsTheLogProbOfTheTokenItTook) {
  const Tensor logits = random_logits(5, 700, 11);
  const Sampled sampled = sample_tokens(logits, 1.0, {0.1f, 0.3f, 0.5f, 0.7f, 0.9f});
  const Tensor want = at::log_softmax(logits.to(at::kDouble), 1);
  for (int64_t row = 0; row < 5; ++row) {
    EXPECT_NEAR(sampled.logprobs[row], want[row][sampled.ids[row]].item<double>(), 1e-5);  // f32 against f64
  }
}

TEST(SampleTokens, RowsDoNotDependOnTheirBatch) {
  const Tensor logits = random_logits(64, 1000, 12);
  std::vector<float> uniforms;
  Rng rng(13);
  for (int i = 0; i < 64; ++i) uniforms.push_back(rng.uniform());
  const Sampled together = sample_tokens(logits, 0.7, uniforms);
  for (int64_t row = 0; row < 64; ++row) {
    const Sampled alone = sample_tokens(logits.narrow(0, row, 1), 0.7, {uniforms[row]});
    EXPECT_EQ(alone.ids[0], together.ids[row]);
    EXPECT_EQ(alone.logprobs[0], together.logprobs[row]);
  }
}

TEST(SampleTokens, GreedyTakesTheLowestOfEqualMaxima) {
  EXPECT_EQ(sample_tokens(at::tensor({1.0f, 3.0f, 3.0f, 2.0f}).unsqueeze(0), 0.0, {0.99f}).ids[0], 1);
}

TEST(SampleTokens, GreedyLogProbIsAtTemperatureOne) {
  EXPECT_NEAR(sample_tokens(logits_of({0.25f, 0.75f}), 0.0, {0.0f}).logprobs[0], std::log(0.75), 1e-6);  // f32 rounding
}

TEST(SampleTokens, RejectsLogitsThatAreNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    const Tensor logits = at::cat({at::zeros({1, 3}), at::tensor({0.0f, bad, 0.0f}).unsqueeze(0)});
    try {
      sample_tokens(logits, 1.0, {0.5f, 0.5f});
      FAIL() << "no error for " << bad;
    } catch (const DataError& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr("the model's logits are not finite"));
    }
  }
}

TEST(SampleTokens, RejectsLogitsOfAnotherDtype) {
  EXPECT_THROW(sample_tokens(at::zeros({1, 3}, at::kDouble), 1.0, {0.5f}), ShapeError);
}

}  // namespace
}  // namespace noregret
