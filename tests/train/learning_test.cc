// What several updates do: learning, restarts, the recipe's invariances.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "tests/train/train_support.h"

namespace noregret {
namespace {

struct Training {
  Adapter adapter;
  Adam optimizer;
  Learner learner;

  Training(const CausalLm& model, const Adapter& start, const ObjectiveOptions& objective, double lr,
           const OptimizerOptions& adam = {})
      : adapter(start.clone()),
        optimizer((adapter.set_trainable(true), adapter.parameters()), adam, lr),
        learner({.model = &model, .policy = {&adapter}, .objective = objective}, optimizer) {}
  Training(const Training&) = delete;
};

Adapter fresh(const CausalLm& model, const AdapterOptions& options) {
  return Adapter::create(model.sites(), options, 3, at::kCPU);
}

std::vector<double> losses(Training& training, TrainBatch batch, int num_steps) {
  std::vector<double> values;
  for (int i = 0; i < num_steps; ++i) values.push_back(training.learner.step(batch).get("loss/value"));
  return values;
}

TEST(Learning, SftLearnsASequenceByHeart) {
  const CausalLm model = tiny_model();
  Training training(model, fresh(model, adapter_options(2, 32)), objective("cross_entropy"), 1e-2);
  const std::vector<double> loss = losses(training, sft_batch({some_ids(12, 1), some_ids(8, 5)}), 80);
  EXPECT_GT(loss.front(), 2.0);
  EXPECT_LT(loss.back(), 0.1);
}

TEST(Learning, FullFineTuningLearnsASequenceByHeart) {
  CausalLm model = tiny_model();
  model.set_trainable(true);
  Adam optimizer(model.parameters(), {}, 1e-2);
  Learner learner({.model = &model, .objective = objective("cross_entropy")}, optimizer);
  TrainBatch batch = sft_batch({some_ids(12, 1)});
  double loss = 0.0;
  for (int i = 0; i < 60; ++i) loss = learner.step(batch).get("loss/value");
  EXPECT_LT(loss, 0.1);
}

// One token after a context of one token; right is an even one.
struct Bandit {
  static constexpr int kGroupSize = 8;
  const CausalLm& model;
  const Adapter& adapter;

  // A group's tokens under the policy, with centered rewards; adds the rewards up in `reward`.
  Microbatch group(int64_t context, Rng rng, double& reward) const {
    const at::NoGradGuard no_grad;
    const Tensor probabilities = at::softmax(logits_of(model, {&adapter}, batch_of({{context}}))[0].to(at::kDouble), 0);
    std::vector<Member> members;
    double mean = 0.0;
    for (int i = 0; i < kGroupSize; ++i) {
      double left = rng.uniform();
      int64_t token = 0;
      while (token + 1 < probabilities.size(0) && (left -= probabilities[token].item<double>()) > 0) ++token;
      members.push_back({{token}, token % 2 == 0 ? 1.0 : 0.0});
      mean += members.back().advantage / kGroupSize;
    }
    for (Member& member : members) member.advantage -= mean;
    reward += mean;
    return group_batch({context}, members);
  }
};

// Single runs end between 0.9 and 1, by chance.
TEST(Learning, RlLearnsABandit) {
  constexpr uint64_t kNumRuns = 4;
  const CausalLm model = tiny_model();
  double first = 0.0, last = 0.0;
  for (uint64_t run = 1; run <= kNumRuns; ++run) {
    Training training(model, fresh(model, adapter_options(1, 32)), objective("is"), 1e-2);
    const Bandit bandit{model, training.adapter};
    for (uint64_t step = 0; step < 40; ++step) {
      double reward = 0.0;
      std::vector<Microbatch> groups;
      for (int64_t context = 0; context < 4; ++context) {
        groups.push_back(
            bandit.group(context, Rng::stream(run, Purpose::kTrain, {step, static_cast<uint64_t>(context)}), reward));
      }
      TrainBatch batch = train_batch(std::move(groups));
      fill_sampler(batch, model, {&training.adapter});
      training.learner.step(batch);
      (step < 5 ? first : last) += reward / 4.0 / 5.0 / kNumRuns * (step < 5 || step >= 35);
    }
  }
  EXPECT_LT(first, 0.8);
  EXPECT_GT(last, 0.95);
}

TEST(Learning, IsTheSameTwice) {
  const CausalLm model = tiny_model();
  const auto run = [&] {
    Training training(model, fresh(model, adapter_options(2, 32)), objective("cross_entropy"), 1e-2);
    losses(training, two_groups(), 5);
    return training.adapter.digest() + digest(training.optimizer.state());
  };
  EXPECT_EQ(run(), run());
}

TEST(Learning, ARestoredRunEqualsOneThatNeverStopped) {
  const CausalLm model = tiny_model();
  const Adapter start = fresh(model, adapter_options(2, 32));
  TrainBatch batch = two_groups();
  fill_sampler(batch, model, {&start}, 0.1f);
  Training whole(model, start, objective("ppo"), 1e-2);
  const std::vector<double> want = losses(whole, batch, 7);
  Training before(model, start, objective("ppo"), 1e-2);
  losses(before, batch, 3);
  const TempFolder folder("learner_state");
  write_file_atomic(folder.path() / "adapter.safetensors", before.adapter.tensor_bytes());
  write_file_atomic(folder.path() / "optimizer.safetensors", tensors_to_bytes(before.optimizer.state()));
  Training after(model, start, objective("ppo"), 1e-2);
  restore_parameters(after.adapter.parameters(), read_tensors(folder.path() / "adapter.safetensors"), "adapter");
  after.optimizer.restore(read_tensors(folder.path() / "optimizer.safetensors"), "optimizer");
  const std::vector<double> got = losses(after, batch, 4);
  EXPECT_EQ(got, std::vector<double>(want.begin() + 3, want.end()));
  EXPECT_EQ(after.adapter.digest(), whole.adapter.digest());
  EXPECT_EQ(digest(after.optimizer.state()), digest(whole.optimizer.state()));
}

// scaling * B A of the head.
Tensor head_delta(const CausalLm& model, const Adapter& adapter) {
  const Adapter::LowRank& head = *adapter.find(static_cast<int64_t>(model.sites().size()) - 1);
  return head.b.detach().matmul(head.a.detach()).mul(head.scaling);
}

// The head's delta after one update of an adapter with these rows as A.
Tensor first_delta(const CausalLm& model, const Tensor& a, double alpha) {
  const Adapter start = fresh(model, adapter_options(a.size(0), alpha, {"lm_head"}));
  start.find(static_cast<int64_t>(model.sites().size()) - 1)->a.copy_(a);
  OptimizerOptions adam;
  adam.eps = 1e-30;
  Training training(model, start, objective("cross_entropy"), 1e-2, adam);
  losses(training, two_groups(), 1);
  return head_delta(model, training.adapter);
}

TEST(RankInvariance, TheFirstUpdateIsTheMeanOverRankOneAdapters) {
  // The recipe's reason for one alpha at all ranks: alpha / R * sum_i b_i a_i^T with b_i independent of R.
  const CausalLm model = tiny_model();
  constexpr int64_t kRank = 4;
  const Tensor a = fresh(model, adapter_options(kRank, 32, {"lm_head"})).parameters().front().second;
  Tensor mean = first_delta(model, a.narrow(0, 0, 1), 32.0);
  for (int64_t i = 1; i < kRank; ++i) mean = mean.add(first_delta(model, a.narrow(0, i, 1), 32.0));
  mean = mean.div(kRank);
  const double scale = mean.abs().max().item<double>();
  EXPECT_LT(max_difference(first_delta(model, a, 32.0), mean), 1e-5 * scale);
  // alpha = 2R instead: rank R moves R times as far beside the mean of rank-1 adapters.
  const Tensor popular = first_delta(model, a, 2.0 * kRank);
  const Tensor popular_mean = mean.mul(2.0 / 32.0);
  EXPECT_LT(max_difference(popular, popular_mean.mul(kRank)), 1e-5 * scale);
}

// p = q = 2: alpha / 4, A doubled, learning rate doubled, eps halved; all exact in f32.
std::vector<double> scaled_losses(const CausalLm& model, double p, double max_grad_norm) {
  const Adapter start = fresh(model, adapter_options(2, 32.0 / (p * p)));
  for (const auto& [name, tensor] : start.parameters()) tensor.mul_(p);  // B is 0
  OptimizerOptions adam;
  adam.eps = 0x1p-26 / p;
  adam.max_grad_norm = max_grad_norm;
  Training training(model, start, objective("cross_entropy"), 0x1p-8 * p, adam);
  return losses(training, two_groups(), 50);
}

TEST(ScaleInvariance, FiftyUpdatesAreBitIdenticalUnderPowersOfTwo) {
  const CausalLm model = tiny_model();
  const std::vector<double> want = scaled_losses(model, 1.0, 0.0);
  EXPECT_NE(want.front(), want.back());
  EXPECT_EQ(scaled_losses(model, 2.0, 0.0), want);
  EXPECT_EQ(scaled_losses(model, 0.5, 0.0), want);
}

TEST(ScaleInvariance, AConstantFactorOfTheLossIsInvisible) {
  // With the tokens of the step counted fourfold, gradients are a quarter: Adam divides that out where eps is nothing.
  const CausalLm model = tiny_model();
  const auto trained = [&](int64_t count_factor) {
    OptimizerOptions adam;
    adam.eps = 1e-30;
    Training training(model, fresh(model, adapter_options(2, 32)), objective("cross_entropy"), 1e-2, adam);
    TrainBatch batch = two_groups();
    batch.num_loss_tokens *= count_factor;
    losses(training, batch, 10);
    return training.adapter.digest();
  };
  EXPECT_EQ(trained(4), trained(1));
}

TEST(ScaleInvariance, AClipOfTheGlobalNormBreaksIt) {
  const CausalLm model = tiny_model();
  EXPECT_NE(scaled_losses(model, 2.0, 0.5), scaled_losses(model, 1.0, 0.5));
}

}  // namespace
}  // namespace noregret
