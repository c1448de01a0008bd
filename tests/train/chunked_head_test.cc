#include "train/chunked_head.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "tests/train/train_support.h"

namespace noregret {
namespace {

constexpr int64_t kRows = 23;

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  int64_t size = 1;
  for (const int64_t extent : shape) size *= extent;
  std::vector<double> numbers;
  Rng rng(seed);
  for (int64_t i = 0; i < size; ++i) numbers.push_back(rng.uniform(-1.0f, 1.0f));
  return at::tensor(numbers, at::kDouble).to(at::kFloat).view(shape);
}

// Log-probs of 23 rows of a tiny model with an adapted head, and the gradients of their sum with fixed coefficients.
struct Case {
  CausalLm model = tiny_model();
  Adapter adapter = trained_adapter(model, adapter_options(3, 32, {"lm_head"}));
  AdapterStack stack = {&adapter};
  Tensor rows = random({kRows, model.config().hidden_size}, 1);
  Tensor targets = at::tensor(some_ids(kRows, 4), at::kLong);
  Tensor coefficients = random({kRows}, 2);

  void clear() {
    for (const auto& [name, tensor] : adapter.parameters()) tensor.mutable_grad() = Tensor();
  }
  Gradients take() {
    Gradients gradients;
    for (const auto& [name, tensor] : adapter.parameters())
      gradients[name] = std::exchange(tensor.mutable_grad(), Tensor());
    return gradients;
  }
};

// Everything at once, with autograd's own backward of the log-softmax.
struct Reference {
  Tensor logprobs, entropy;
  Gradients gradients;

  Reference(Case& c, double temperature) {
    const Tensor leaf = c.rows.clone().requires_grad_();
    const Tensor all = at::log_softmax(c.model.logits(leaf, c.stack).div(temperature), 1);
    logprobs = all.gather(1, c.targets.unsqueeze(1)).squeeze(1);
    entropy = all.exp().mul(all).sum(1).neg().detach();
    logprobs.mul(c.coefficients).sum().backward();
    logprobs = logprobs.detach();
    gradients = c.take();
    gradients["rows"] = leaf.grad();
  }
};

TEST(ChunkedHead, EqualsTheUnchunkedHeadAtEveryChunkSize) {
  Case c;
  for (const double temperature : {1.0, 0.6}) {
    const Reference want(c, temperature);
    for (const int64_t chunk_tokens : {1, 5, 22, 23, 24, 1000}) {
      ChunkedHead head(c.model, c.stack, c.rows, c.targets,
                       {.temperature = temperature, .chunk_tokens = chunk_tokens, .needs_row_grad = true});
      const TokenScores scores = head.score();
      // f32 rounding of log-probs up to 10.
      EXPECT_LT(max_difference(scores.logprobs, want.logprobs), 5e-6) << chunk_tokens;
      EXPECT_LT(max_difference(scores.entropy, want.entropy), 5e-6) << chunk_tokens;
      EXPECT_FALSE(scores.logprobs.requires_grad());
      Gradients gradients;
      const Tensor grad_rows = head.backward(c.coefficients);
      gradients = c.take();
      gradients["rows"] = grad_rows;
      expect_equal(gradients, want.gradients);
    }
  }
}

TEST(ChunkedHead, AddsToGradientsThatAreThere) {
  Case c;
  const auto run = [&] {
    ChunkedHead head(c.model, c.stack, c.rows, c.targets, {.chunk_tokens = 7});
    head.score();
    head.backward(c.coefficients);
  };
  run();
  Gradients once;
  for (const auto& [name, tensor] : c.adapter.parameters()) once[name] = tensor.grad().mul(2.0);
  run();
  expect_equal(c.take(), once);
}

TEST(ChunkedHead, GivesNoRowGradientUnasked) {
  Case c;
  ChunkedHead head(c.model, c.stack, c.rows, c.targets, {.chunk_tokens = 7});
  head.score();
  EXPECT_FALSE(head.backward(c.coefficients).defined());
  EXPECT_GT(largest(c.take()), 0.0);
}

TEST(ChunkedHead, ATrainedHeadWeightGetsItsGradient) {
  Case c;
  c.model.set_trainable(true);
  const Tensor weight = c.model.parameters().back().second;  // untied: lm_head.weight
  const AdapterStack none;
  const Tensor all = at::log_softmax(c.model.logits(c.rows, none), 1);
  all.gather(1, c.targets.unsqueeze(1)).squeeze(1).mul(c.coefficients).sum().backward();
  const Tensor want = std::exchange(weight.mutable_grad(), Tensor());
  ChunkedHead head(c.model, none, c.rows, c.targets, {.chunk_tokens = 6});
  head.score();
  head.backward(c.coefficients);
  expect_equal({{"head", weight.grad()}}, {{"head", want}});
}

TEST(ChunkedHead, ScoresWithoutAGraphWhereGradientsAreOff) {
  Case c;
  const at::NoGradGuard no_grad;
  ChunkedHead head(c.model, c.stack, c.rows, c.targets, {.chunk_tokens = 1000});
  EXPECT_FALSE(head.score().logprobs.requires_grad());
}

TEST(ScoreTokens, EqualsAnIndependentLogSoftmax) {
  const CausalLm model = tiny_model();
  const Adapter adapter = trained_adapter(model, adapter_options(2, 32));
  const std::vector<int64_t> ids = some_ids(12, 3);
  const std::vector<double> want = score(model, {&adapter}, ids);
  const Microbatch batch = group_batch({ids[0]}, {{std::vector<int64_t>(ids.begin() + 1, ids.end()), 1.0}});
  for (const int64_t chunk_tokens : {1, 4, 100}) {
    const Tensor got = score_tokens(model, {&adapter}, batch.tokens, batch.loss_rows, batch.targets, 1.0, chunk_tokens);
    EXPECT_FALSE(got.requires_grad());
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(got[static_cast<int64_t>(i)].item<double>(), want[i], 1e-5) << chunk_tokens;
  }
}

TEST(ScoreTokens, OfASharedPromptEqualTheSequencesAlone) {
  const CausalLm model = tiny_model();
  const std::vector<int64_t> prompt = some_ids(6, 1);
  const std::vector<Member> members = {{some_ids(5, 2)}, {some_ids(1, 3)}, {some_ids(7, 4)}};
  const Microbatch shared = group_batch(prompt, members);
  const Tensor got = score_tokens(model, {}, shared.tokens, shared.loss_rows, shared.targets, 0.8, 4);
  int64_t next = 0;
  for (const Member& member : members) {
    const Microbatch alone = group_batch(prompt, {member});
    const Tensor want = score_tokens(model, {}, alone.tokens, alone.loss_rows, alone.targets, 0.8, 100);
    EXPECT_LT(max_difference(got.narrow(0, next, want.size(0)), want), 1e-5);
    next += want.size(0);
  }
}

}  // namespace
}  // namespace noregret
