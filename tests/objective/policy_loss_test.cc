#include "noregret/objective/policy_loss.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <stdexcept>

#include "noregret/base/error.h"
#include "tests/objective/objective_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ObjectiveOptions named(const std::string& name) {
  ObjectiveOptions options;
  options.name = name;
  return options;
}

// Columns for tokens whose sampler gave them log-prob log(1/2).
Microbatch columns(const std::vector<double>& weights, at::ScalarType dtype = at::kFloat) {
  Microbatch batch;
  batch.weights = f64(weights).to(dtype);
  batch.sampler_logprobs = f64(std::vector<double>(weights.size(), std::log(0.5))).to(dtype);
  return batch;
}

// Log-probs that make these ratios with columns().
Tensor for_ratios(const std::vector<double>& ratios) { return f64(ratios).log().add(std::log(0.5)); }

LossResult loss_of(const ObjectiveOptions& options, const Tensor& logprobs, const Microbatch& batch,
                   int64_t num_loss_tokens) {
  return policy_loss(options, logprobs, at::zeros_like(logprobs).detach(), batch, num_loss_tokens);
}

std::vector<double> gradient(const ObjectiveOptions& options, const Tensor& logprobs, const Microbatch& batch,
                             int64_t num_loss_tokens) {
  const Tensor leaf = logprobs.detach().clone().requires_grad_();
  loss_of(options, leaf, batch, num_loss_tokens).loss.backward();
  return values_of(leaf.grad());
}

double value(const ObjectiveOptions& options, const Tensor& logprobs, const Microbatch& batch,
             int64_t num_loss_tokens) {
  return loss_of(options, logprobs, batch, num_loss_tokens).loss.item<double>();
}

constexpr double kF64 = 1e-12;

TEST(PolicyLoss, IsMatchesHandComputedValue) {
  // -(2 * 1 + 0.5 * -3) / 4
  EXPECT_NEAR(value(named("is"), for_ratios({2.0, 0.5}), columns({1.0, -3.0}, at::kDouble), 4), -0.125, kF64);
}

TEST(PolicyLoss, IsGradientIsMinusRatioTimesAdvantage) {
  const std::vector<double> grad = gradient(named("is"), for_ratios({2.0, 0.5}), columns({1.0, -3.0}, at::kDouble), 4);
  EXPECT_NEAR(grad[0], -2.0 / 4.0, kF64);
  EXPECT_NEAR(grad[1], 1.5 / 4.0, kF64);
}

TEST(PolicyLoss, PpoMatchesHandComputedValuesOnAllSides) {
  // ratio, advantage -> min(r A, clip(r, 0.8, 1.2) A)
  const std::vector<std::array<double, 3>> rows = {{1.5, 1.0, 1.2},   {0.5, 1.0, 0.5}, {1.5, -1.0, -1.5},
                                                   {0.5, -1.0, -0.8}, {1.1, 2.0, 2.2}, {0.9, -2.0, -1.8}};
  for (const auto& [ratio, advantage, want] : rows) {
    EXPECT_NEAR(value(named("ppo"), for_ratios({ratio}), columns({advantage}, at::kDouble), 1), -want, kF64)
        << ratio << " " << advantage;
  }
}

TEST(PolicyLoss, PpoStopsTheGradientWhereItClips) {
  const std::vector<double> grad =
      gradient(named("ppo"), for_ratios({1.5, 0.5, 1.5, 0.5}), columns({1.0, 1.0, -1.0, -1.0}, at::kDouble), 1 * 4);
  EXPECT_EQ(grad[0], 0.0);
  EXPECT_NEAR(grad[1], -0.5 / 4.0, kF64);
  EXPECT_NEAR(grad[2], 1.5 / 4.0, kF64);
  EXPECT_EQ(grad[3], 0.0);
}

TEST(PolicyLoss, PpoIsIsInsideTheClip) {
  const Tensor logprobs = for_ratios({0.81, 0.95, 1.0, 1.05, 1.19});
  const Microbatch batch = columns({1.0, -2.0, 0.5, 3.0, -1.0}, at::kDouble);
  EXPECT_EQ(value(named("ppo"), logprobs, batch, 5), value(named("is"), logprobs, batch, 5));
  EXPECT_EQ(gradient(named("ppo"), logprobs, batch, 5), gradient(named("is"), logprobs, batch, 5));
}

TEST(PolicyLoss, PpoWithoutClipIsIsEverywhereBelowTwo) {
  ObjectiveOptions wide = named("ppo");
  wide.clip_eps = 1.0;
  const Tensor logprobs = for_ratios({0.1, 1.9});
  const Microbatch batch = columns({1.0, -2.0}, at::kDouble);
  EXPECT_EQ(gradient(wide, logprobs, batch, 2), gradient(named("is"), logprobs, batch, 2));
}

TEST(PolicyLoss, ClipFracCountsTokensWhoseGradientIsStopped) {
  const LossResult result = loss_of(named("ppo"), for_ratios({1.5, 0.5, 1.5, 0.5, 1.0, 1.5}),
                                    columns({1.0, 1.0, -1.0, -1.0, 1.0, 0.0}, at::kDouble), 6);
  EXPECT_DOUBLE_EQ(result.metrics.read().finish().get("policy/clip_frac"), 2.0 / 6.0);
}

TEST(PolicyLoss, CrossEntropyIsTheNegativeLogLikelihood) {
  Microbatch batch;
  batch.weights = f64({1.0, 1.0});
  EXPECT_NEAR(value(named("cross_entropy"), f64({std::log(0.5), std::log(0.25)}), batch, 2), 1.5 * std::log(2.0), kF64);
  EXPECT_THAT(gradient(named("cross_entropy"), f64({-1.0, -2.0}), batch, 2), testing::ElementsAre(-0.5, -0.5));
}

TEST(PolicyLoss, CrossEntropyTakesWeightsAndNoSampler) {
  Microbatch batch;
  batch.weights = f64({2.0, 0.0, -1.0});
  EXPECT_NEAR(value(named("cross_entropy"), f64({-1.0, -50.0, -3.0}), batch, 4), (2.0 - 3.0) / 4.0, kF64);
  EXPECT_FALSE(loss_of(named("cross_entropy"), f64({-1.0, -50.0, -3.0}), batch, 4)
                   .metrics.read()
                   .finish()
                   .has("policy/ratio_max"));
}

TEST(PolicyLoss, KlAddsHalfTheSquaredDifference) {
  ObjectiveOptions options = named("is");
  options.kl_coef = 0.3;
  Microbatch batch = columns({0.0, 0.0}, at::kDouble);
  batch.ref_logprobs = f64({-1.0, -2.0});
  const Tensor logprobs = f64({-1.5, -1.0});  // d = -0.5, 1
  EXPECT_NEAR(value(options, logprobs, batch, 2), 0.3 * (0.125 + 0.5) / 2.0, kF64);
  const std::vector<double> grad = gradient(options, logprobs, batch, 2);
  EXPECT_NEAR(grad[0], 0.3 * -0.5 / 2.0, kF64);
  EXPECT_NEAR(grad[1], 0.3 * 1.0 / 2.0, kF64);
}

TEST(PolicyLoss, LossDividesByTheStepsTokens) {
  const Tensor logprobs = for_ratios({2.0, 0.5});
  const Microbatch batch = columns({1.0, -3.0}, at::kDouble);
  EXPECT_NEAR(value(named("is"), logprobs, batch, 2), 10.0 * value(named("is"), logprobs, batch, 20), kF64);
}

TEST(PolicyLoss, DoesNotDependOnMicrobatching) {
  const Tensor logprobs = f64(random_values(12, -3.0, 0.0, 1));
  Microbatch all;
  all.weights = f64(random_values(12, -2.0, 2.0, 2));
  all.sampler_logprobs = f64(random_values(12, -3.0, 0.0, 3));
  all.ref_logprobs = f64(random_values(12, -3.0, 0.0, 4));
  for (const char* name : {"is", "ppo", "cross_entropy"}) {
    ObjectiveOptions options = named(name);
    options.kl_coef = 0.1;
    double split_loss = 0.0;
    std::vector<double> split_grad;
    for (const auto& [begin, length] : std::vector<std::pair<int64_t, int64_t>>{{0, 5}, {5, 1}, {6, 6}}) {
      Microbatch part;
      part.weights = all.weights.narrow(0, begin, length);
      part.sampler_logprobs = all.sampler_logprobs.narrow(0, begin, length);
      part.ref_logprobs = all.ref_logprobs.narrow(0, begin, length);
      const Tensor part_logprobs = logprobs.narrow(0, begin, length);
      split_loss += value(options, part_logprobs, part, 20);
      for (const double g : gradient(options, part_logprobs, part, 20)) split_grad.push_back(g);
    }
    EXPECT_NEAR(split_loss, value(options, logprobs, all, 20), kF64) << name;
    EXPECT_EQ(split_grad, gradient(options, logprobs, all, 20)) << name;
  }
}

TEST(PolicyLoss, ATokenWithoutAdvantageHasNoGradient) {
  for (const char* name : {"is", "ppo", "cross_entropy"}) {
    EXPECT_THAT(gradient(named(name), for_ratios({1.4, 0.3}), columns({0.0, 0.0}, at::kDouble), 2), testing::Each(0.0))
        << name;
  }
}

TEST(PolicyLoss, GradientMatchesFiniteDifferences) {
  Microbatch batch;
  batch.weights = f64(random_values(9, -2.0, 2.0, 12));
  batch.sampler_logprobs = f64(random_values(9, -2.0, -1.0, 13));
  batch.ref_logprobs = f64(random_values(9, -2.0, 0.0, 14));
  const std::vector<double> start = random_values(9, -2.0, -1.0, 15);
  for (const char* name : {"is", "ppo", "cross_entropy"}) {
    ObjectiveOptions options = named(name);
    options.kl_coef = 0.2;
    const std::vector<double> grad = gradient(options, f64(start), batch, 9);
    for (size_t i = 0; i < start.size(); ++i) {
      constexpr double kStep = 1e-6;  // truncation 1e-12, rounding 1e-16 / 1e-6
      std::vector<double> above = start, below = start;
      above[i] += kStep;
      below[i] -= kStep;
      const double want = (value(options, f64(above), batch, 9) - value(options, f64(below), batch, 9)) / (2 * kStep);
      EXPECT_NEAR(grad[i], want, 1e-8) << name << " " << i;
    }
  }
}

TEST(PolicyLoss, ReportsTheLargestRatioAndTheMeanEntropy) {
  const Tensor logprobs = for_ratios({0.5, 1.75, 1.0});
  const LossResult result =
      policy_loss(named("is"), logprobs, f64({0.3, 0.6, 1.5}), columns({1.0, 1.0, -1.0}, at::kDouble), 3);
  const Metrics metrics = result.metrics.read().finish();
  EXPECT_NEAR(metrics.get("policy/ratio_max"), 1.75, kF64);
  EXPECT_NEAR(metrics.get("policy/entropy"), 0.8, kF64);
}

TEST(PolicyLoss, KlReferenceEstimatesTheDivergence) {
  // Tokens in the proportions of p = {1/2, 1/4, 1/4}, so that the mean over them is the expectation under the policy.
  ObjectiveOptions options = named("is");
  options.kl_coef = 1.0;
  const std::vector<double> p = {0.5, 0.5, 0.25, 0.25}, q = {0.125, 0.125, 0.5, 0.375};
  Microbatch batch = columns({1.0, 1.0, 1.0, 1.0}, at::kDouble);
  batch.ref_logprobs = f64(q).log();
  const double divergence = 0.5 * std::log(4.0) + 0.25 * std::log(0.5) + 0.25 * std::log(0.25 / 0.375);
  EXPECT_NEAR(loss_of(options, f64(p).log(), batch, 4).metrics.read().finish().get("policy/kl_reference"), divergence,
              kF64);
}

TEST(PolicyLoss, OfF32ColumnsIsF32) {
  const LossResult result = loss_of(named("ppo"), for_ratios({1.0}).to(at::kFloat), columns({1.0}), 1);
  EXPECT_EQ(result.loss.scalar_type(), at::kFloat);
  EXPECT_EQ(result.loss.dim(), 0);
}

TEST(PolicyLoss, OfNoTokensIsZero) {
  const LossResult result = loss_of(named("ppo"), f64({}).requires_grad_(), columns({}, at::kDouble), 5);
  EXPECT_EQ(result.loss.item<double>(), 0.0);
  EXPECT_TRUE(result.metrics.read().finish().items().empty());
}

TEST(PolicyLoss, DoesNotHideAnOverflowingRatio) {
  // exp(200) is no f32: the learner has to see that and skip the update.
  Microbatch batch = columns({1.0});
  batch.sampler_logprobs = f32({-200.0});
  EXPECT_TRUE(std::isinf(value(named("is"), f32({0.0}), batch, 1)));
}

TEST(PolicyLoss, NamesAMissingColumn) {
  Microbatch batch;
  EXPECT_THAT(error_of<ConfigError>([&] { value(named("is"), f64({-1.0}), batch, 1); }),
              HasSubstr("no column weights"));
  batch.weights = f64({1.0});
  for (const char* name : {"is", "ppo"}) {
    EXPECT_THAT(error_of<ConfigError>([&] { value(named(name), f64({-1.0}), batch, 1); }),
                AllOf(HasSubstr("no column sampler_logprobs"), HasSubstr(name)));
  }
  ObjectiveOptions options = named("cross_entropy");
  options.kl_coef = 0.1;
  EXPECT_THAT(error_of<ConfigError>([&] { value(options, f64({-1.0}), batch, 1); }),
              AllOf(HasSubstr("no column ref_logprobs"), HasSubstr("kl_coef")));
}

TEST(PolicyLoss, RefusesUnknownNames) {
  const Microbatch batch = columns({1.0}, at::kDouble);
  EXPECT_THAT(error_of<ConfigError>([&] { value(named("pppo"), f64({-1.0}), batch, 1); }),
              HasSubstr("did you mean 'ppo'"));
  ObjectiveOptions options = named("is");
  options.aggregation = "sum";
  EXPECT_THAT(error_of<ConfigError>([&] { value(options, f64({-1.0}), batch, 1); }), HasSubstr("want token_mean"));
}

TEST(PolicyLoss, RefusesColumnsOfAnotherLength) {
  EXPECT_THAT(error_of<ShapeError>([] {
                value(named("is"), f64({-1.0}), columns({1.0, 2.0}, at::kDouble), 2);
              }),
              HasSubstr("weights is [2], want [1]"));
  EXPECT_THAT(
      error_of<ShapeError>([] { policy_loss(named("is"), f64({-1.0}), f64({}), columns({1.0}, at::kDouble), 2); }),
      HasSubstr("entropy is [0], want [1]"));
}

TEST(PolicyLoss, RefusesACountBelowItsOwnTokens) {
  EXPECT_THROW(value(named("is"), f64({-1.0, -1.0}), columns({1.0, 1.0}, at::kDouble), 1), std::logic_error);
  EXPECT_THROW(value(named("is"), f64({}), columns({}, at::kDouble), 0), std::logic_error);
}

}  // namespace
}  // namespace noregret
