// CausalLm::token_scores: ln p of targets and entropies, and what flows back through them.
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "noregret/nn/ops.h"
#include "tests/nn/batch_support.h"
#include "tests/nn/engine_support.h"

namespace noregret {
namespace {

constexpr Backend kBackends[] = {Backend::kKernels, Backend::kAten};

Tensor ids_of(const std::vector<int64_t>& ids) { return at::tensor(ids, at::kLong); }

CausalLm untied_model(int64_t vocab_size, Backend backend = Backend::kKernels) {
  HfConfig config = tiny_config();
  config.vocab_size = vocab_size;
  return CausalLm::create(config, 0.8, 1, at::kCPU, backend);
}

// A model whose logits are these for first_unit(), exactly.
CausalLm model_with_logits(const std::vector<float>& logits, Backend backend) {
  CausalLm model = untied_model(static_cast<int64_t>(logits.size()), backend);
  model.set_trainable(true);
  const at::NoGradGuard no_grad;
  model.parameters().back().second.select(1, 0).copy_(at::tensor(logits));
  model.set_trainable(false);
  return model;
}

Tensor first_unit(int64_t num_rows) {
  const Tensor rows = at::zeros({num_rows, tiny_config().hidden_size});
  rows.select(1, 0).fill_(1.0f);
  return rows;
}

// Rows of about the size that the final norm gives.
Tensor some_rows(int64_t num_rows, uint64_t seed = 1) {
  const Tensor rows = at::zeros({num_rows, tiny_config().hidden_size});
  Rng rng(seed);
  for (int64_t i = 0; i < rows.numel(); ++i) rows.mutable_data_ptr<float>()[i] = rng.uniform(-2.0f, 2.0f);
  return rows;
}

void expect_scores(const std::vector<float>& logits, double temperature, int64_t target, double logprob,
                   double entropy) {
  for (const Backend backend : kBackends) {
    const CausalLm model = model_with_logits(logits, backend);
    const TokenScores scores = model.token_scores(first_unit(1), ids_of({target}), temperature, {});
    // f32 rounding of the logits, of their quotient by the temperature and of the result.
    const double tolerance = 1e-6 * std::max(1.0, std::abs(logprob));
    EXPECT_NEAR(scores.logprobs.item<double>(), logprob, tolerance) << static_cast<int>(backend);
    EXPECT_NEAR(scores.entropy.item<double>(), entropy, 1e-6) << static_cast<int>(backend);
  }
}

TEST(TokenScores, MatchHandComputedValues) {
  const auto entropy = [](double p) { return -p * std::log(p) - (1 - p) * std::log(1 - p); };
  const std::vector<float> logits = {0.0f, std::log(3.0f)};
  expect_scores(logits, 1.0, 0, std::log(0.25), entropy(0.25));
  expect_scores(logits, 1.0, 1, std::log(0.75), entropy(0.25));
  expect_scores(logits, 0.5, 1, std::log(0.9), entropy(0.1));                            // 1 : 3^2
  expect_scores(logits, 2.0, 0, -std::log(1 + std::sqrt(3.0)), entropy(0.36602540378));  // 1 : sqrt 3
}

TEST(TokenScores, OfEqualLogitsAreThoseOfTheUniformDistribution) {
  for (const size_t vocab_size : {size_t{1}, size_t{16}, size_t{17}, size_t{256}, size_t{257}}) {
    const double all = std::log(static_cast<double>(vocab_size));
    for (const size_t target : {size_t{0}, vocab_size - 1})
      expect_scores(std::vector<float>(vocab_size, -7.5f), 1.0, static_cast<int64_t>(target), -all, all);
  }
}

TEST(TokenScores, OfLargeLogitsAreFinite) {
  const std::vector<float> logits = {-1e4f, 0.0f, 1e4f};
  expect_scores(logits, 1.0, 2, 0.0, 0.0);
  expect_scores(logits, 1.0, 0, -2e4, 0.0);
  expect_scores(logits, 0.5, 1, -2e4, 0.0);
}

TEST(TokenScores, OfWhatIsNotFiniteAreNotFiniteAndNotSampled) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const CausalLm model = model_with_logits({0.0f, bad, 1.0f}, Backend::kKernels);
    const TokenScores scores = model.token_scores(first_unit(1), ids_of({1}), 1.0, {});
    EXPECT_FALSE(std::isfinite(scores.logprobs.item<float>())) << bad;
    int64_t token = 0;
    float uniform = 0.5f, logprob = 0.0f;
    EXPECT_FALSE(ops::sample(model.logits(first_unit(1), {}), 1.0, &uniform, &token, &logprob)) << bad;
  }
}

TEST(TokenScores, EqualALogSoftmaxInF64OfTheSameLogits) {
  const at::NoGradGuard no_grad;
  const Tensor rows = some_rows(31), targets = ids_of(some_ids(31, 4));
  for (const int64_t vocab_size : {20, 256, 401}) {
    const CausalLm model = untied_model(vocab_size);
    for (const double temperature : {1.0, 0.6, 2.5}) {
      const TokenScores scores = model.token_scores(rows, targets, temperature, {});
      const Tensor all = at::log_softmax(model.logits(rows, {}).to(at::kDouble).div(temperature), 1);
      const Tensor want = all.gather(1, targets.unsqueeze(1)).squeeze(1);
      // Results of up to 40 are rounded by 2e-6, and as much by way of the f32 temperature.
      EXPECT_LT(max_difference(scores.logprobs.to(at::kDouble), want), 6e-6);
      EXPECT_LT(max_difference(scores.entropy.to(at::kDouble), all.exp().mul(all).sum(1).neg()), 2e-6);
    }
  }
}

// d ln p[target] / d row = (W[target] - sum over v of p[v] W[v]) / T.
TEST(TokenScores, GradientOfRowsIsTheFormulaInF64) {
  const Tensor targets = ids_of(some_ids(23, 4)), coefficients = some_rows(23, 2).select(1, 0);
  for (const Backend backend : kBackends) {
    const CausalLm model = untied_model(77, backend);
    for (const double temperature : {1.0, 0.6}) {
      const Tensor leaf = some_rows(23).requires_grad_();
      model.token_scores(leaf, targets, temperature, {}).logprobs.mul(coefficients).sum().backward();
      const at::NoGradGuard no_grad;
      const Tensor weight = model.parameters().back().second.to(at::kDouble);
      const Tensor p = leaf.to(at::kDouble).mm(weight.t()).div(temperature).softmax(1);
      const Tensor errors = at::one_hot(targets, 77).to(at::kDouble).sub(p);
      const Tensor want = errors.mul(coefficients.unsqueeze(1)).div(temperature).mm(weight);
      // f32 sums of 77 products of weights around 1 and errors up to 2.
      EXPECT_LT(max_difference(leaf.grad().to(at::kDouble), want), 1e-5);
    }
  }
}

TEST(TokenScores, AreTheSameBitsInChunksOfAnySize) {
  const CausalLm model = untied_model(261);
  const Adapter adapter = engine_adapter(model, 3, 2, {"lm_head"});
  const Tensor rows = some_rows(23), targets = ids_of(some_ids(23, 4));
  struct Result {
    Tensor logprobs, entropy, grad;
  };
  const auto in_chunks = [&](int64_t chunk) {
    std::vector<Tensor> logprobs, entropy;
    const Tensor leaf = rows.clone().requires_grad_();
    for (int64_t begin = 0; begin < 23; begin += chunk) {
      const int64_t length = std::min<int64_t>(chunk, 23 - begin);
      const TokenScores scores =
          model.token_scores(leaf.narrow(0, begin, length), targets.narrow(0, begin, length), 0.7, {&adapter});
      scores.logprobs.pow(2).sum().backward();
      logprobs.push_back(scores.logprobs.detach());
      entropy.push_back(scores.entropy);
    }
    return Result{at::cat(logprobs), at::cat(entropy), leaf.grad()};
  };
  const Result want = in_chunks(23);
  for_each_setting([&](size_t) {
    for (const int64_t chunk : {1, 2, 7, 22, 23}) {
      const Result got = in_chunks(chunk);
      expect_same_bits(got.logprobs, want.logprobs, "log-probs");
      expect_same_bits(got.entropy, want.entropy, "entropies");
      expect_same_bits(got.grad, want.grad, "gradients of rows");
    }
  });
}

TEST(TokenScores, AreTheSamplersBitForBit) {
  const at::NoGradGuard no_grad;
  const CausalLm model = untied_model(601);
  const Tensor rows = some_rows(40), logits = model.logits(rows, {});
  for (const double temperature : {1.0, 0.7, 1.6}) {
    std::vector<float> uniforms(40), logprobs(40);
    std::vector<int64_t> tokens(40);
    Rng rng(9);
    for (float& uniform : uniforms) uniform = rng.uniform();
    ASSERT_TRUE(ops::sample(logits, temperature, uniforms.data(), tokens.data(), logprobs.data()));
    expect_same_bits(model.token_scores(rows, ids_of(tokens), temperature, {}).logprobs, at::tensor(logprobs));
  }
}

TEST(TokenScores, AddToGradientsThatAreThere) {
  const CausalLm model = untied_model(33);
  Adapter adapter = engine_adapter(model, 3, 2, {"lm_head"});
  adapter.set_trainable(true);
  const Tensor rows = some_rows(9), targets = ids_of(some_ids(9, 4));
  const auto run = [&] { model.token_scores(rows, targets, 1.0, {&adapter}).logprobs.sum().backward(); };
  run();
  std::vector<Tensor> once;
  for (const auto& [name, tensor] : adapter.parameters()) once.push_back(tensor.grad().clone());
  run();
  for (size_t i = 0; i < once.size(); ++i)
    expect_same_bits(adapter.parameters()[i].second.grad(), once[i].mul(2.0f), adapter.parameters()[i].first);
}

TEST(TokenScores, AHeadsAdapterGetsItsGradientThoughRowsGetNone) {
  const CausalLm model = untied_model(33);
  Adapter adapter = engine_adapter(model, 3, 2, {"lm_head"});
  adapter.set_trainable(true);
  const Tensor targets = ids_of(some_ids(9, 4));
  const auto gradients = [&](const Tensor& rows) {
    model.token_scores(rows, targets, 0.7, {&adapter}).logprobs.pow(2).sum().backward();
    std::vector<Tensor> taken;
    for (const auto& [name, tensor] : adapter.parameters())
      taken.push_back(std::exchange(tensor.mutable_grad(), Tensor()));
    return taken;
  };
  const Tensor rows = some_rows(9), leaf = some_rows(9).requires_grad_();
  const std::vector<Tensor> alone = gradients(rows), beside = gradients(leaf);
  EXPECT_FALSE(rows.grad().defined());
  EXPECT_TRUE(leaf.grad().defined());
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_GT(alone[i].abs().max().item<float>(), 0.0f);
    expect_same_bits(alone[i], beside[i]);
  }
}

TEST(TokenScores, ASecondBackwardPassIsABug) {
  const CausalLm model = untied_model(33);
  const Tensor leaf = some_rows(4).requires_grad_();
  const Tensor sum = model.token_scores(leaf, ids_of(some_ids(4, 1)), 1.0, {}).logprobs.sum();
  sum.backward({}, /*retain_graph=*/true);
  EXPECT_THROW(sum.backward(), std::logic_error);
}

TEST(TokenScores, EntropiesHaveNoGradient) {
  for (const Backend backend : kBackends) {
    const CausalLm model = untied_model(33, backend);
    const TokenScores scores = model.token_scores(some_rows(4).requires_grad_(), ids_of(some_ids(4, 1)), 1.0, {});
    EXPECT_TRUE(scores.logprobs.requires_grad());
    EXPECT_FALSE(scores.entropy.requires_grad());
  }
}

TEST(TokenScores, HaveNoGraphWhereGradientsAreOff) {
  CausalLm model = untied_model(33);
  model.set_trainable(true);
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(
      model.token_scores(some_rows(4).requires_grad_(), ids_of(some_ids(4, 1)), 1.0, {}).logprobs.requires_grad());
}

TEST(TokenScores, ATargetBeyondTheVocabularyIsAnError) {
  for (const Backend backend : kBackends) {
    const CausalLm model = untied_model(33, backend);
    for (const int64_t target : {int64_t{33}, int64_t{-1}})
      EXPECT_ANY_THROW(model.token_scores(some_rows(2), ids_of({0, target}), 1.0, {})) << target;
  }
}

TEST(TokenScores, LogitsOfKernelsWithAGradientAreABug) {
  const CausalLm model = untied_model(33);
  EXPECT_THROW(model.logits(some_rows(2).requires_grad_(), {}), std::logic_error);
}

}  // namespace
}  // namespace noregret
