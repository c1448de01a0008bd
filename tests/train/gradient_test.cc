// The learner's gradients against those of other ways to compute them.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "tests/train/train_support.h"

namespace noregret {
namespace {

// The whole step at once with ATen's operators and autograd: all logits, torch's log-softmax, the formulas written out.
Gradients autograd(const CausalLm& model, const AdapterStack& policy, const std::vector<NamedTensor>& parameters,
                   const ObjectiveOptions& objective, const TrainBatch& batch) {
  Tensor total = at::zeros({}, at::kDouble);
  for (const Microbatch& part : batch.microbatches) {
    const Tensor logits =
        model.logits(model.forward(part.tokens, policy, nullptr), policy).index_select(0, part.loss_rows);
    const Tensor logp = at::log_softmax(logits.to(at::kDouble).div(batch.temperature), 1)
                            .gather(1, part.targets.unsqueeze(1))
                            .squeeze(1);
    if (objective.name == "cross_entropy") {
      total = total.sub(logp.mul(part.weights).sum());
    } else {
      const Tensor r = logp.sub(part.sampler_logprobs).exp();
      // PPO's maximum over losses is the minimum over what is maximized.
      const Tensor clipped = objective.name == "ppo" ? r.clamp(1.0 - objective.clip_eps, 1.0 + objective.clip_eps) : r;
      total = total.add(at::maximum(r.mul(part.weights).neg(), clipped.mul(part.weights).neg()).sum());
    }
    if (objective.kl_coef > 0) total = total.add(logp.sub(part.ref_logprobs).pow(2).sum(), objective.kl_coef / 2);
  }
  total.div(static_cast<double>(batch.num_loss_tokens)).backward();
  Gradients gradients;
  for (const auto& [name, tensor] : parameters) {
    gradients[name] = tensor.grad().defined() ? tensor.grad().clone() : at::zeros(tensor.sizes());
    tensor.mutable_grad() = Tensor();
  }
  return gradients;
}

TEST(LearnerGradient, EqualsAutogradForEveryObjective) {
  const CausalLm model = tiny_model();
  const CausalLm twin = CausalLm::create(tiny_config(), 0.3, 1, at::kCPU, Backend::kAten);
  const Adapter adapter = trained_adapter(model, adapter_options(3, 32));
  for (const double temperature : {1.0, 0.7}) {
    for (const char* name : {"is", "ppo", "cross_entropy"}) {
      for (const double kl_coef : {0.0, 0.3}) {
        TrainBatch batch = two_groups(temperature);
        fill_sampler(batch, model, {&adapter}, 0.4f);
        for (Microbatch& part : batch.microbatches) {
          part.ref_logprobs = score_tokens(model, {}, part.tokens, part.loss_rows, part.targets, temperature, 100);
        }
        const Gradients want = autograd(twin, {&adapter}, adapter.parameters(), objective(name, kl_coef), batch);
        EXPECT_GT(largest(want), 1e-3);
        expect_equal(gradients_of(model, adapter, objective(name, kl_coef), batch), want);
      }
    }
  }
}

TEST(LearnerGradient, EqualsAutogradInFullFineTuning) {
  for (const bool is_tied : {false, true}) {
    HfConfig config = tiny_config();
    config.tie_word_embeddings = is_tied;
    CausalLm model = CausalLm::create(config, 0.3, 1, at::kCPU);
    model.set_trainable(true);
    CausalLm twin = CausalLm::create(config, 0.3, 1, at::kCPU, Backend::kAten);
    twin.set_trainable(true);
    TrainBatch batch = two_groups();
    fill_sampler(batch, model, {}, 0.2f);
    const Gradients want = autograd(twin, {}, twin.parameters(), objective("is"), batch);
    for (const bool is_recomputed : {false, true}) {
      TrainOptions train;
      train.gradient_checkpointing = is_recomputed;
      expect_equal(
          gradients_of({.model = &model, .objective = objective("is"), .train = train}, model.parameters(), batch),
          want);
    }
  }
}

TEST(LearnerGradient, OfASharedPromptEqualsThatOfSequencesAlone) {
  const CausalLm model = tiny_model();
  const Adapter adapter = trained_adapter(model, adapter_options(2, 32));
  const std::vector<int64_t> prompt = some_ids(6, 1);
  const std::vector<Member> members = {{some_ids(5, 2), 1.0}, {some_ids(1, 3), -0.5}, {some_ids(7, 4), -0.5}};
  std::vector<Microbatch> alone;
  for (const Member& member : members) alone.push_back(group_batch(prompt, {member}));
  TrainBatch shared = train_batch({group_batch(prompt, members)});
  TrainBatch apart = train_batch(std::move(alone));
  fill_sampler(shared, model, {&adapter});
  fill_sampler(apart, model, {&adapter});
  expect_equal(gradients_of(model, adapter, objective("is"), shared),
               gradients_of(model, adapter, objective("is"), apart));
}

TEST(LearnerGradient, DoesNotDependOnMicrobatching) {
  const CausalLm model = tiny_model();
  const Adapter adapter = trained_adapter(model, adapter_options(2, 32));
  const std::vector<int64_t> prompt = some_ids(6, 1);
  const std::vector<Member> members = {
      {some_ids(5, 2), 1.0}, {some_ids(4, 3), -0.5}, {some_ids(7, 4), 0.3}, {some_ids(2, 5), -0.8}};
  const auto split = [&](const std::vector<std::vector<size_t>>& parts) {
    std::vector<Microbatch> microbatches;
    for (const std::vector<size_t>& part : parts) {
      std::vector<Member> chosen;
      for (const size_t i : part) chosen.push_back(members[i]);
      microbatches.push_back(group_batch(prompt, chosen));
    }
    TrainBatch batch = train_batch(std::move(microbatches));
    fill_sampler(batch, model, {&adapter});
    return gradients_of(model, adapter, objective("is"), batch);
  };
  const Gradients want = split({{0, 1, 2, 3}});
  expect_equal(split({{0, 1}, {2, 3}}), want);
  expect_equal(split({{3}, {1, 2}, {0}}), want);
}

TEST(LearnerGradient, DoesNotDependOnHeadChunks) {
  const CausalLm model = tiny_model();
  const Adapter adapter = trained_adapter(model, adapter_options(2, 32));
  TrainBatch batch = two_groups();
  fill_sampler(batch, model, {&adapter}, 0.1f);
  TrainOptions train;
  const Gradients want = gradients_of(model, adapter, objective("is"), batch, train);
  for (const int64_t chunk_tokens : {1, 3, 10}) {
    train.head_chunk_tokens = chunk_tokens;
    expect_equal(gradients_of(model, adapter, objective("is"), batch, train), want);
  }
}

TEST(LearnerGradient, CheckpointingComputesTheSameBits) {
  const CausalLm model = tiny_model();
  for (const std::vector<std::string>& targets : std::vector<std::vector<std::string>>{
           {"all"}, {"q_proj", "o_proj"}, {"down_proj"}, {"lm_head"}, {"up_proj", "lm_head"}}) {
    const Adapter adapter = trained_adapter(model, adapter_options(2, 32, targets));
    TrainBatch batch = two_groups();
    fill_sampler(batch, model, {&adapter}, 0.1f);
    TrainOptions train;
    const Gradients want = gradients_of(model, adapter, objective("is"), batch, train);
    train.gradient_checkpointing = true;
    expect_bit_equal(gradients_of(model, adapter, objective("is"), batch, train), want);
  }
}

TEST(LearnerGradient, CheckpointingStopsBelowTheFirstAdaptedLayer) {
  const CausalLm model = tiny_model();
  const Adapter adapter = trained_adapter(model, adapter_options(2, 32, {"layers.1.mlp.up_proj"}));
  TrainBatch batch = two_groups();
  fill_sampler(batch, model, {&adapter}, 0.1f);
  TrainOptions train;
  const Gradients want = gradients_of(model, adapter, objective("is"), batch, train);
  train.gradient_checkpointing = true;
  expect_bit_equal(gradients_of(model, adapter, objective("is"), batch, train), want);
}

TEST(LearnerGradient, FrozenAdaptersInTheStackGetNone) {
  const CausalLm model = tiny_model();
  Adapter frozen = trained_adapter(model, adapter_options(2, 32), 8);
  frozen.set_trainable(false);
  const Adapter adapter = trained_adapter(model, adapter_options(2, 32));
  TrainBatch batch = two_groups();
  fill_sampler(batch, model, {&frozen, &adapter});
  gradients_of({.model = &model, .policy = {&frozen, &adapter}, .objective = objective("is")}, adapter.parameters(),
               batch);
  for (const auto& [name, tensor] : frozen.parameters()) EXPECT_FALSE(tensor.grad().defined()) << name;
}

TEST(LearnerGradient, MatchesFiniteDifferencesOfTheLoss) {
  const CausalLm model = tiny_model();
  const Adapter adapter = trained_adapter(model, adapter_options(2, 32));
  TrainBatch batch = two_groups();
  const Gradients gradients = gradients_of(model, adapter, objective("cross_entropy"), batch);
  const auto loss = [&] {
    double sum = 0.0;
    for (const Microbatch& part : batch.microbatches) {
      const Tensor logprobs = score_tokens(model, {&adapter}, part.tokens, part.loss_rows, part.targets, 1.0, 100);
      sum -= logprobs.mul(part.weights).to(at::kDouble).sum().item<double>();
    }
    return sum / static_cast<double>(batch.num_loss_tokens);
  };
  const at::NoGradGuard no_grad;
  const double scale = largest(gradients);
  for (const auto& [name, tensor] : adapter.parameters()) {
    const int64_t i = tensor.numel() / 2;
    const Tensor element = tensor.view({-1}).select(0, i);
    constexpr float kStep = 4e-3f;
    const float kept = element.item<float>();
    element.fill_(kept + kStep);
    const double above = loss();
    element.fill_(kept - kStep);
    const double below = loss();
    element.fill_(kept);
    // f32 losses of order 1 round by 1e-7, divided by the step 3e-5; the third derivative adds about as much.
    EXPECT_NEAR(gradients.at(name).flatten()[i].item<double>(), (above - below) / (2.0 * kStep), 2e-3 * scale) << name;
  }
}

}  // namespace
}  // namespace noregret
