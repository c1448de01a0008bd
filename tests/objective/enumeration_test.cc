// Facts about expectations, checked by summing over every outcome instead of sampling.
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/objective/objective_support.h"

namespace noregret {
namespace {

constexpr double kF64 = 1e-12;  // sums of a few dozen f64 terms of order 1
constexpr int64_t kTokens = 3;

// Two tokens a sequence out of three; the second depends on the first. logits [4, 3]: row 0 for the first token, row
// 1 + first for the second.
struct Mdp {
  Tensor logits = f64(random_values(12, -1.0, 1.0, 21)).view({4, kTokens}).requires_grad_();
  std::vector<double> rewards = random_values(kTokens * kTokens, -1.0, 1.0, 22);

  // [9, 2]: log-probs of the tokens of every sequence.
  static Tensor logprobs(const Tensor& logits) {
    const Tensor table = at::log_softmax(logits, 1);
    std::vector<Tensor> all;
    for (int64_t first = 0; first < kTokens; ++first) {
      for (int64_t second = 0; second < kTokens; ++second) {
        all.push_back(at::stack({table[0][first], table[1 + first][second]}));
      }
    }
    return at::stack(all);
  }
  Tensor reward() const { return f64(rewards); }
};

// E[reward] of the policy, exactly.
Tensor expected_reward(const Mdp& mdp, const Tensor& logits) {
  return Mdp::logprobs(logits).sum(1).exp().mul(mdp.reward()).sum();
}

// E over the sampler's sequences of the summed token terms, as policy_loss gives it: each sequence's advantage times
// its probability.
Tensor surrogate(const Mdp& mdp, const std::string& objective, const Tensor& logits, const Tensor& sampler_logits) {
  const Tensor sampler = Mdp::logprobs(sampler_logits.detach());
  const Tensor logprobs = Mdp::logprobs(logits).flatten();
  Microbatch batch;
  batch.weights = sampler.sum(1).exp().mul(mdp.reward()).repeat_interleave(2);
  batch.sampler_logprobs = sampler.flatten();
  ObjectiveOptions options;
  options.name = objective;
  const int64_t num_tokens = logprobs.size(0);
  return policy_loss(options, logprobs, at::zeros_like(logprobs).detach(), batch, num_tokens).loss.mul(-num_tokens);
}

std::vector<double> gradient_of(const Tensor& value, const Tensor& leaf) {
  leaf.mutable_grad() = Tensor();
  value.backward();
  return values_of(leaf.grad());
}

// Log-probs moved away from the sampler's along a fixed direction.
Tensor moved(const Mdp& mdp, double distance) {
  return mdp.logits.detach().add(f64(random_values(12, -1.0, 1.0, 23)).view({4, kTokens}), distance).requires_grad_();
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

TEST(ImportanceSampling, GradientAtTheSamplerIsThatOfTheExpectedReward) {
  const Mdp mdp;
  const std::vector<double> want = gradient_of(expected_reward(mdp, mdp.logits), mdp.logits);
  for (const char* name : {"is", "ppo"}) {
    const std::vector<double> got = gradient_of(surrogate(mdp, name, mdp.logits, mdp.logits), mdp.logits);
    EXPECT_LT(largest_difference(got, want), kF64) << name;
  }
}

TEST(ImportanceSampling, GradientAtTheSamplerIsReinforce) {
  // cross_entropy with advantages as weights is REINFORCE's surrogate: A log p.
  const Mdp mdp;
  const std::vector<double> is = gradient_of(surrogate(mdp, "is", mdp.logits, mdp.logits), mdp.logits);
  const std::vector<double> reinforce =
      gradient_of(surrogate(mdp, "cross_entropy", mdp.logits, mdp.logits), mdp.logits);
  EXPECT_LT(largest_difference(is, reinforce), kF64);
}

TEST(ImportanceSampling, TheProductOfTokenRatiosIsUnbiasedOffPolicy) {
  const Mdp mdp;
  const Tensor logits = moved(mdp, 0.7);
  const Tensor sampler = Mdp::logprobs(mdp.logits.detach());
  const Tensor ratio = Mdp::logprobs(logits).sub(sampler).sum(1).exp();
  const Tensor estimate = sampler.sum(1).exp().mul(ratio).mul(mdp.reward()).sum();
  EXPECT_NEAR(estimate.item<double>(), expected_reward(mdp, logits).item<double>(), kF64);
}

TEST(ImportanceSampling, TokenRatiosAreBiasedOffPolicy) {
  const Mdp mdp;
  const Tensor logits = moved(mdp, 0.7);
  const std::vector<double> token = gradient_of(surrogate(mdp, "is", logits, mdp.logits), logits);
  const std::vector<double> exact = gradient_of(expected_reward(mdp, logits), logits);
  EXPECT_GT(largest_difference(token, exact), 1e-3);
}

TEST(ImportanceSampling, TheBiasOfTokenRatiosIsOfSecondOrder) {
  // The surrogate sums over two tokens, so at the sampler it is twice the expected reward; changes are to be compared.
  const Mdp mdp;
  const double start = expected_reward(mdp, mdp.logits).item<double>();
  const auto bias = [&](double distance) {
    const Tensor logits = moved(mdp, distance);
    return surrogate(mdp, "is", logits, mdp.logits).item<double>() - start -
           expected_reward(mdp, logits).item<double>();
  };
  EXPECT_NEAR(bias(0.0), 0.0, kF64);
  // A quadratic falls by 4 when the distance halves; the cubic term at 1e-3 moves that by about 1e-3.
  EXPECT_NEAR(bias(2e-3) / bias(1e-3), 4.0, 0.05);
  EXPECT_GT(std::abs(bias(1e-3)), 1e-9);
}

TEST(ImportanceSampling, WithoutRatiosOffPolicyGradientsDrift) {
  // What the ratio is for: REINFORCE on another policy's samples has a first-order error, is a smaller one.
  const Mdp mdp;
  const Tensor logits = moved(mdp, 0.05);
  const std::vector<double> exact = gradient_of(expected_reward(mdp, logits), logits);
  const double with_ratio = largest_difference(gradient_of(surrogate(mdp, "is", logits, mdp.logits), logits), exact);
  const double without =
      largest_difference(gradient_of(surrogate(mdp, "cross_entropy", logits, mdp.logits), logits), exact);
  EXPECT_LT(with_ratio, without);
}

// d loss / d logits of kl_coef = 1, expected over tokens of the policy.
std::vector<double> expected_kl_gradient(const Tensor& logits, const Tensor& ref_logits) {
  const Tensor p = at::log_softmax(logits.detach(), 1).exp().flatten();
  const Tensor logprobs = at::log_softmax(logits, 1).flatten();
  const Tensor leaf = logprobs.detach().clone().requires_grad_();
  Microbatch batch;
  batch.weights = at::zeros_like(p);
  batch.ref_logprobs = at::log_softmax(ref_logits, 1).flatten();
  ObjectiveOptions options;
  options.name = "cross_entropy";
  options.kl_coef = 1.0;
  const int64_t n = p.size(0);
  policy_loss(options, leaf, at::zeros_like(p), batch, n).loss.mul(n).backward();  // the coefficient of each token
  return gradient_of(logprobs.mul(p.mul(leaf.grad())).sum(), logits);
}

TEST(KlTerm, GradientIsThatOfTheDivergenceOfPolicyFromReference) {
  const Tensor logits = f64(random_values(5, -1.0, 1.0, 31)).view({1, 5}).requires_grad_();
  const Tensor ref_logits = f64(random_values(5, -1.0, 1.0, 32)).view({1, 5});
  const Tensor logp = at::log_softmax(logits, 1);
  const Tensor divergence = logp.exp().mul(logp.sub(at::log_softmax(ref_logits, 1))).sum();
  const std::vector<double> want = gradient_of(divergence, logits);
  EXPECT_LT(largest_difference(expected_kl_gradient(logits, ref_logits), want), kF64);
  EXPECT_GT(largest_difference(want, std::vector<double>(5, 0.0)), 0.01);  // not a comparison of zeros
}

TEST(KlTerm, GradientVanishesAtTheReference) {
  const Tensor logits = f64(random_values(5, -1.0, 1.0, 33)).view({1, 5}).requires_grad_();
  EXPECT_LT(largest_difference(expected_kl_gradient(logits, logits.detach()), std::vector<double>(5, 0.0)), kF64);
}

}  // namespace
}  // namespace noregret
