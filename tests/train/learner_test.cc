#include "noregret/train/learner.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "noregret/base/error.h"
#include "tests/train/train_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A tiny model, a fresh adapter and a learner over it.
struct Trainee {
  CausalLm model = tiny_model();
  Adapter adapter;
  std::unique_ptr<Adam> optimizer;
  std::unique_ptr<Learner> learner;

  explicit Trainee(const ObjectiveOptions& objective, const TrainOptions& train = {}, double lr = 1e-2,
                   const AdapterOptions& options = adapter_options(2, 32), const OptimizerOptions& adam = {},
                   bool exact = false)
      : adapter(Adapter::create(model.sites(), options, 3, at::kCPU)) {
    adapter.set_trainable(true);
    optimizer = std::make_unique<Adam>(adapter.parameters(), adam, lr);
    learner = std::make_unique<Learner>(
        Learner::Setup{.model = &model, .policy = {&adapter}, .objective = objective, .train = train, .exact = exact},
        *optimizer);
  }
  Metrics step(TrainBatch batch) { return learner->step(batch); }
  TrainBatch rl_batch(float shift = 0.0f) const {
    TrainBatch batch = two_groups();
    fill_sampler(batch, model, {&adapter}, shift);
    return batch;
  }
  // Of weights, moments and count.
  std::string digest() const { return adapter.digest() + noregret::digest(optimizer->state()); }
};

std::vector<std::string> names_of(const Metrics& metrics) {
  std::vector<std::string> names;
  for (const auto& [name, value] : metrics.items()) names.push_back(name);
  return names;
}

Trainee exact_trainee() { return Trainee(objective("is"), {}, 1e-2, adapter_options(2, 32), {}, true); }

TEST(ExactLearner, TakesLogprobsThatAreItsOwnBitForBit) {
  Trainee run = exact_trainee();
  for (int step = 0; step < 3; ++step) EXPECT_EQ(run.step(run.rl_batch()).get("policy/max_abs_logprob_diff"), 0.0);
}

TEST(ExactLearner, StopsAtADifferenceOfOneBitBeforeAnythingChanges) {
  Trainee run = exact_trainee();
  TrainBatch batch = run.rl_batch();
  float& logprob = batch.microbatches[1].sampler_logprobs.mutable_data_ptr<float>()[4];
  logprob = std::nextafter(logprob, 0.0f);
  const std::string before = run.digest();
  EXPECT_THAT(error_of<ExactnessError>([&] { run.step(batch); }), HasSubstr("rollout.exact: false"));
  EXPECT_EQ(run.digest(), before);
  EXPECT_GT(Trainee(objective("is")).step(batch).get("policy/max_abs_logprob_diff"), 0.0);  // measured only
}

TEST(ExactLearner, RefusesABatchOfAnotherAdapter) {
  Trainee run(objective("is"));
  TrainBatch batch = run.rl_batch();
  batch.policy_digest = run.model.policy_digest({&run.adapter});
  run.step(batch);  // changes the adapter
  const std::string before = run.digest();
  EXPECT_THAT(error_of<ExactnessError>([&] { run.step(batch); }), HasSubstr("stale"));
  EXPECT_EQ(run.digest(), before);
}

TEST(Learner, AtBZeroTheFirstUpdateMovesBAndTheSecondA) {
  Trainee run(objective("is"));
  std::vector<Tensor> start;
  for (const auto& [name, tensor] : run.adapter.parameters()) start.push_back(tensor.detach().clone());
  run.step(run.rl_batch());
  size_t i = 0;
  for (const auto& [name, tensor] : run.adapter.parameters()) {
    const bool is_a = name.find("lora_A") != std::string::npos;
    EXPECT_EQ(at::equal(tensor.detach(), start[i++]), is_a) << name;  // A's gradient is 0 while B is
  }
  run.step(run.rl_batch());
  i = 0;
  for (const auto& [name, tensor] : run.adapter.parameters())
    EXPECT_FALSE(at::equal(tensor.detach(), start[i++])) << name;
}

TEST(Learner, NeverTouchesTheBase) {
  Trainee run(objective("is"));
  const std::string before = run.model.digest();
  for (int i = 0; i < 3; ++i) run.step(run.rl_batch());
  EXPECT_EQ(run.model.digest(), before);
  for (const auto& [name, tensor] : run.model.parameters()) EXPECT_FALSE(tensor.grad().defined()) << name;
}

TEST(Learner, ReportsTheMetricsOfAnRlStep) {
  Trainee run(objective("ppo"));
  const Metrics metrics = run.step(run.rl_batch());
  EXPECT_THAT(names_of(metrics),
              testing::UnorderedElementsAre("loss/value", "policy/max_abs_logprob_diff", "policy/mean_abs_logprob_diff",
                                            "policy/kl_sampler_learner", "policy/entropy", "policy/ratio_max",
                                            "policy/clip_frac", "optim/grad_norm", "optim/lr", "optim/skipped"));
  EXPECT_EQ(metrics.get("optim/lr"), 1e-2);
  EXPECT_EQ(metrics.get("optim/skipped"), 0.0);
  EXPECT_GT(metrics.get("optim/grad_norm"), 0.0);
  EXPECT_EQ(metrics.get("policy/clip_frac"), 0.0);
  EXPECT_GT(metrics.get("policy/entropy"), 0.0);
  EXPECT_LT(metrics.get("policy/entropy"), std::log(20.0));
}

TEST(Learner, SftHasNoSamplerToCompareWith) {
  Trainee run(objective("cross_entropy"));
  const Metrics metrics = run.step(sft_batch({some_ids(9, 1)}));
  EXPECT_THAT(names_of(metrics), testing::UnorderedElementsAre("loss/value", "policy/entropy", "optim/grad_norm",
                                                               "optim/lr", "optim/skipped"));
}

TEST(Learner, LossIsTheMeanNegativeLogLikelihood) {
  Trainee run(objective("cross_entropy"));
  const std::vector<std::vector<int64_t>> sequences = {some_ids(9, 1), some_ids(4, 2)};
  double sum = 0.0;
  for (const auto& ids : sequences) {
    for (const double logprob : score(run.model, {&run.adapter}, ids)) sum -= logprob;
  }
  EXPECT_NEAR(run.step(sft_batch(sequences)).get("loss/value"), sum / 11.0, 1e-5);
}

TEST(Learner, MaxAbsLogprobDiffFindsOneWrongToken) {
  Trainee run(objective("is"));
  TrainBatch batch = run.rl_batch();
  EXPECT_LT(run.step(batch).get("policy/max_abs_logprob_diff"), 1e-5);  // chunks of other sizes, f32
  batch = run.rl_batch();
  batch.microbatches[1].sampler_logprobs.mutable_data_ptr<float>()[4] += 0.25f;
  const Metrics metrics = run.step(batch);
  EXPECT_NEAR(metrics.get("policy/max_abs_logprob_diff"), 0.25, 1e-5);
  EXPECT_NEAR(metrics.get("policy/kl_sampler_learner"), 0.25 / static_cast<double>(batch.num_loss_tokens), 1e-5);
  EXPECT_NEAR(metrics.get("policy/mean_abs_logprob_diff"), 0.25 / static_cast<double>(batch.num_loss_tokens), 1e-5);
}

TEST(Learner, SamplerGapIsMeasuredBeforeTheFirstUpdate) {
  TrainOptions train;
  train.updates_per_batch = 4;
  Trainee run(objective("ppo"), train, 0.05);
  const Metrics metrics = run.step(run.rl_batch());
  EXPECT_LT(metrics.get("policy/max_abs_logprob_diff"), 1e-5);
  EXPECT_GT(metrics.get("policy/ratio_max"), 1.01);  // later passes are off-policy
  EXPECT_GT(metrics.get("policy/clip_frac"), 0.0);
}

TEST(Learner, SeveralPassesAreSeveralUpdates) {
  TrainOptions train;
  train.updates_per_batch = 3;
  Trainee thrice(objective("ppo"), train), once(objective("ppo"));
  TrainBatch batch = thrice.rl_batch();
  const Metrics metrics = thrice.step(batch);
  double loss = 0.0;
  for (int i = 0; i < 3; ++i) loss += once.step(batch).get("loss/value") / 3.0;
  EXPECT_EQ(thrice.digest(), once.digest());
  EXPECT_NEAR(metrics.get("loss/value"), loss, 1e-9);
}

TEST(Learner, AnEmptyBatchChangesNothing) {
  Trainee run(objective("is"));
  run.step(run.rl_batch());
  run.learner->set_num_skipped_in_row(2);
  const std::string before = run.digest();
  TrainBatch empty;
  empty.num_loss_tokens = 500;  // all of them without advantage
  const Metrics metrics = run.step(empty);
  EXPECT_EQ(run.digest(), before);
  EXPECT_EQ(metrics.get("optim/skipped"), 0.0);
  EXPECT_EQ(metrics.get("loss/value"), 0.0);
  EXPECT_EQ(run.learner->num_skipped_in_row(), 2);  // neither a success nor a failure
}

TEST(Learner, AKlPenaltyIsAgainstTheReferenceAndStartsAtZero) {
  Trainee run(objective("is", 0.1));
  const Metrics first = run.step(run.rl_batch());
  EXPECT_NEAR(first.get("policy/kl_reference"), 0.0, 1e-9);  // B = 0: policy and base are one
  const Metrics second = run.step(run.rl_batch());
  EXPECT_GT(second.get("policy/kl_reference"), 1e-6);
}

TEST(Learner, AKlPenaltyHoldsThePolicyBack) {
  const auto divergence_after = [](double kl_coef) {
    Trainee run(objective("is", kl_coef));
    for (int i = 0; i < 15; ++i) run.step(run.rl_batch());
    TrainBatch batch = run.rl_batch();
    const Microbatch& part = batch.microbatches[0];
    const Tensor base = score_tokens(run.model, {}, part.tokens, part.loss_rows, part.targets, 1.0, 100);
    return part.sampler_logprobs.sub(base).square().mean().item<double>();
  };
  EXPECT_LT(divergence_after(5.0), 0.5 * divergence_after(0.0));
}

TEST(Learner, AKlPenaltyTakesAnotherReferenceThanTheBase) {
  Trainee run(objective("cross_entropy", 1.0));
  fill_b(run.adapter, 0.1f, 5);
  const Adapter start = run.adapter.clone();
  Learner learner({.model = &run.model,
                   .policy = {&run.adapter},
                   .reference = {&start},
                   .objective = objective("cross_entropy", 1.0)},
                  *run.optimizer);
  TrainBatch batch = sft_batch({some_ids(9, 1)});
  EXPECT_NEAR(learner.step(batch).get("policy/kl_reference"), 0.0, 1e-9);
}

TEST(Learner, RefusesAKlPenaltyInFullFineTuning) {
  CausalLm model = tiny_model();
  model.set_trainable(true);
  Adam optimizer(model.parameters(), {}, 1e-3);
  EXPECT_THAT(error_of<ConfigError>([&] { Learner({.model = &model, .objective = objective("is", 0.1)}, optimizer); }),
              HasSubstr("objective.kl_coef is 0.1, want 0 in full fine-tuning"));
}

TEST(Learner, AFrozenParameterIsABug) {
  Trainee run(objective("is"));
  run.adapter.set_trainable(false);
  EXPECT_THROW(Learner({.model = &run.model, .policy = {&run.adapter}}, *run.optimizer), std::logic_error);
}

// A step that must be left out, after one that was not.
void expect_skipped(Trainee& run, const TrainBatch& batch) {
  const std::string before = run.digest();
  const Metrics metrics = run.step(batch);
  EXPECT_EQ(run.digest(), before);
  EXPECT_EQ(metrics.get("optim/skipped"), 1.0);
  for (const auto& [name, value] : metrics.items()) EXPECT_TRUE(std::isfinite(value)) << name;
  EXPECT_EQ(run.learner->num_skipped_in_row(), 1);
  for (const auto& [name, tensor] : run.adapter.parameters()) EXPECT_FALSE(tensor.grad().defined()) << name;
  EXPECT_EQ(run.step(run.rl_batch()).get("optim/skipped"), 0.0);  // and training goes on
  EXPECT_EQ(run.learner->num_skipped_in_row(), 0);
  EXPECT_NE(run.digest(), before);
}

TEST(SkippedUpdate, ForAnAdvantageThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Trainee run(objective("is"));
    run.step(run.rl_batch());
    TrainBatch batch = run.rl_batch();
    batch.microbatches[1].weights.mutable_data_ptr<float>()[2] =
        bad;  // the first microbatch has run its backward by then
    expect_skipped(run, batch);
  }
}

TEST(SkippedUpdate, ForASamplerLogprobThatIsNotFinite) {
  Trainee run(objective("ppo"));
  run.step(run.rl_batch());
  TrainBatch batch = run.rl_batch();
  batch.microbatches[0].sampler_logprobs.mutable_data_ptr<float>()[0] = -std::numeric_limits<float>::infinity();
  expect_skipped(run, batch);
}

TEST(SkippedUpdate, ForARatioThatOverflows) {
  Trainee run(objective("is"));
  run.step(run.rl_batch());
  TrainBatch batch = run.rl_batch();
  batch.microbatches[0].sampler_logprobs.mutable_data_ptr<float>()[0] = -200.0f;
  expect_skipped(run, batch);
}

TEST(SkippedUpdate, ForAWeightOfTheModelThatIsNotFinite) {
  Trainee run(objective("is"));
  run.step(run.rl_batch());
  const Tensor norm = run.model.parameters().at(1).second;
  ASSERT_EQ(norm.dim(), 1);
  TrainBatch batch = run.rl_batch();
  auto* data = norm.mutable_data_ptr<float>();
  const float kept = std::exchange(data[3], std::numeric_limits<float>::quiet_NaN());
  const std::string before = run.digest();
  EXPECT_EQ(run.step(batch).get("optim/skipped"), 1.0);
  EXPECT_EQ(run.digest(), before);
  data[3] = kept;
  EXPECT_EQ(run.step(run.rl_batch()).get("optim/skipped"), 0.0);
}

TEST(SkippedUpdate, ForAGradientThatOverflows) {
  // The loss sees B = 0 and is fine; the gradient of B carries alpha / rank.
  TrainOptions train;
  train.max_skipped_updates = 1;
  Trainee run(objective("is"), train, 1e-2, adapter_options(1, 1e37));
  const std::string before = run.digest();
  EXPECT_THAT(error_of<DivergedError>([&] { run.step(run.rl_batch()); }), HasSubstr("the gradient"));
  EXPECT_EQ(run.digest(), before);
}

TEST(SkippedUpdate, ForAWeightThatWouldOverflow) {
  // An embedding that the batch does not use changes no logit; a decay of 1 - 3 doubles it past the end of f32.
  CausalLm model = tiny_model();
  model.set_trainable(true);
  {
    const at::NoGradGuard no_grad;
    model.parameters().front().second[19].fill_(3e38);
  }
  OptimizerOptions adam;
  adam.weight_decay = 3.0;
  Adam optimizer(model.parameters(), adam, 1.0);
  TrainOptions train;
  train.max_skipped_updates = 1;
  Learner learner({.model = &model, .objective = objective("cross_entropy"), .train = train}, optimizer);
  const std::string before = model.digest() + digest(optimizer.state());
  TrainBatch batch = sft_batch({{1, 2, 3, 4}});
  EXPECT_THAT(error_of<DivergedError>([&] { learner.step(batch); }),
              HasSubstr("a weight after the update is not finite"));
  EXPECT_EQ(model.digest() + digest(optimizer.state()), before);
}

TEST(LearnerTick, ThatThrowsBeforeAnUpdateLeavesEverythingAsItWas) {
  TrainOptions train;
  train.updates_per_batch = 2;
  Trainee run(objective("ppo"), train);
  run.step(run.rl_batch());
  const std::string before = run.digest();
  std::vector<int64_t> seen;
  Learner learner({.model = &run.model,
                   .policy = {&run.adapter},
                   .objective = objective("ppo"),
                   .train = train,
                   .tick =
                       [&](int64_t microbatch_idx) {
                         seen.push_back(microbatch_idx);
                         if (seen.size() == 2) throw InterruptedError("stop");
                       }},
                  *run.optimizer);
  TrainBatch batch = run.rl_batch();
  ASSERT_GE(batch.microbatches.size(), 2u);
  EXPECT_THROW(learner.step(batch), InterruptedError);
  EXPECT_EQ(run.digest(), before);
  learner.step(batch);  // once more: in the first of the two passes only
  EXPECT_EQ(seen.size(), 2 + batch.microbatches.size());
  EXPECT_NE(run.digest(), before);
}

TEST(SkippedUpdate, LeavesOutTheOtherPasses) {
  TrainOptions train;
  train.updates_per_batch = 3;
  Trainee run(objective("ppo"), train);
  TrainBatch batch = run.rl_batch();
  batch.microbatches[0].weights.mutable_data_ptr<float>()[0] = kNaN;
  EXPECT_EQ(run.step(batch).get("optim/skipped"), 1.0);
  EXPECT_EQ(run.learner->num_skipped_in_row(), 1);
}

TEST(SkippedUpdate, SeveralInARowAreDivergence) {
  TrainOptions train;
  train.max_skipped_updates = 3;
  Trainee run(objective("is"), train);
  TrainBatch batch = run.rl_batch();
  batch.microbatches[0].weights.mutable_data_ptr<float>()[0] = kNaN;
  const std::string before = run.digest();
  run.step(batch);
  run.step(batch);
  EXPECT_EQ(run.learner->num_skipped_in_row(), 2);
  EXPECT_THAT(error_of<DivergedError>([&] { run.step(batch); }),
              AllOf(HasSubstr("3 updates in a row"), HasSubstr("the loss is not finite"),
                    HasSubstr("lower optimizer.lr, now 0.01")));
  EXPECT_EQ(run.digest(), before);
}

TEST(SkippedUpdate, OneGoodUpdateBetweenIsNoDivergence) {
  TrainOptions train;
  train.max_skipped_updates = 2;
  Trainee run(objective("is"), train);
  TrainBatch bad = run.rl_batch();
  bad.microbatches[0].weights.mutable_data_ptr<float>()[0] = kNaN;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(run.step(bad).get("optim/skipped"), 1.0);
    EXPECT_EQ(run.step(run.rl_batch()).get("optim/skipped"), 0.0);
  }
}

TEST(SkippedUpdate, CountGoesOnAfterARestart) {
  TrainOptions train;
  train.max_skipped_updates = 3;
  Trainee run(objective("is"), train);
  run.learner->set_num_skipped_in_row(2);
  TrainBatch bad = run.rl_batch();
  bad.microbatches[0].weights.mutable_data_ptr<float>()[0] = kNaN;
  EXPECT_THROW(run.step(bad), DivergedError);
}

TEST(SkippedUpdate, AHugeLearningRateDivergesWithFiniteWeights) {
  Trainee run(objective("cross_entropy"), {}, 1e30);
  const TrainBatch batch = sft_batch({some_ids(9, 1)});
  EXPECT_THROW(
      {
        for (int i = 0; i < 50; ++i) run.step(batch);
      },
      DivergedError);
  for (const auto& [name, tensor] : run.adapter.parameters()) EXPECT_TRUE(all_finite(tensor)) << name;
}

}  // namespace
}  // namespace noregret
