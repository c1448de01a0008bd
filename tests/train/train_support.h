#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>

#include <map>
#include <string>
#include <vector>

#include "noregret/tensor/device.h"
#include "noregret/train/adam.h"
#include "noregret/train/learner.h"
#include "tests/nn/nn_support.h"

namespace noregret {

// For models of a few thousand weights a second thread costs more than it brings.
class OneThread : public testing::Environment {
  void SetUp() override { set_num_threads(1); }
};
inline testing::Environment* const kOneThread = testing::AddGlobalTestEnvironment(new OneThread);

// A completion behind the group's prompt.
struct Member {
  std::vector<int64_t> ids;
  double advantage = 0.0;
};

// The prompt once, then the completions as segments behind it: what pack_groups makes of a group.
inline Microbatch group_batch(const std::vector<int64_t>& prompt, const std::vector<Member>& members) {
  std::vector<int64_t> ids = prompt, positions, rows, targets, sequences;
  std::vector<double> weights;
  const auto prompt_length = static_cast<int64_t>(prompt.size());
  for (int64_t i = 0; i < prompt_length; ++i) positions.push_back(i);
  Microbatch batch;
  batch.tokens.segments = {Segment{.begin = 0, .length = prompt_length}};
  for (size_t m = 0; m < members.size(); ++m) {
    const auto begin = static_cast<int64_t>(ids.size());
    const auto length = static_cast<int64_t>(members[m].ids.size());
    for (int64_t i = 0; i < length; ++i) {
      rows.push_back(i == 0 ? prompt_length - 1 : begin + i - 1);
      targets.push_back(members[m].ids[i]);
      weights.push_back(members[m].advantage);
      sequences.push_back(static_cast<int64_t>(m));
      if (i + 1 == length) break;  // the last token predicts nothing
      ids.push_back(members[m].ids[i]);
      positions.push_back(prompt_length + i);
    }
    if (length > 1) batch.tokens.segments.push_back(Segment{.begin = begin, .length = length - 1, .prefix_segment = 0});
  }
  batch.tokens.ids = at::tensor(ids, at::kLong);
  batch.tokens.positions = at::tensor(positions, at::kLong);
  batch.loss_rows = at::tensor(rows, at::kLong);
  batch.targets = at::tensor(targets, at::kLong);
  batch.weights = at::tensor(weights, at::kDouble).to(at::kFloat);
  batch.sequence_idx = at::tensor(sequences, at::kLong);
  return batch;
}

inline TrainBatch train_batch(std::vector<Microbatch> microbatches, double temperature = 1.0) {
  TrainBatch batch;
  batch.temperature = temperature;
  for (const Microbatch& microbatch : microbatches) {
    batch.num_loss_tokens += microbatch.num_loss_tokens();
    batch.num_sequences += microbatch.sequence_idx.max().item<int64_t>() + 1;
  }
  batch.microbatches = std::move(microbatches);
  return batch;
}

// Stores what `stack` gives the targets, plus `shift` times a fixed pattern: ratios around 1.
inline void fill_sampler(TrainBatch& batch, const CausalLm& model, const AdapterStack& stack, float shift = 0.0f) {
  Rng rng(99);
  for (Microbatch& microbatch : batch.microbatches) {
    microbatch.sampler_logprobs = score_tokens(model, stack, microbatch.tokens, microbatch.loss_rows,
                                               microbatch.targets, batch.temperature, 1000);
    auto* data = microbatch.sampler_logprobs.mutable_data_ptr<float>();
    for (int64_t i = 0; shift != 0.0f && i < microbatch.num_loss_tokens(); ++i) data[i] += rng.uniform(-shift, shift);
  }
}

// Two groups with completions of several lengths, one of them a single token, advantages of both signs.
inline TrainBatch two_groups(double temperature = 1.0) {
  return train_batch(
      {group_batch(some_ids(7, 1), {{some_ids(5, 2), 1.0}, {some_ids(1, 3), -0.5}, {some_ids(9, 4), -0.5}}),
       group_batch(some_ids(4, 5), {{some_ids(3, 6), 0.25}, {some_ids(8, 7), -0.75}})},
      temperature);
}

// Sequences with loss on every token but the first.
inline TrainBatch sft_batch(const std::vector<std::vector<int64_t>>& sequences) {
  std::vector<Microbatch> microbatches;
  for (const std::vector<int64_t>& ids : sequences) {
    microbatches.push_back(group_batch({ids[0]}, {{std::vector<int64_t>(ids.begin() + 1, ids.end()), 1.0}}));
  }
  return train_batch(std::move(microbatches));
}

// An adapter with B away from 0, trainable.
inline Adapter trained_adapter(const CausalLm& model, const AdapterOptions& options, uint64_t seed = 3) {
  Adapter adapter = Adapter::create(model.sites(), options, seed, at::kCPU);
  fill_b(adapter, 0.1f, seed);
  adapter.set_trainable(true);
  return adapter;
}

inline ObjectiveOptions objective(const std::string& name, double kl_coef = 0.0) {
  ObjectiveOptions options;
  options.name = name;
  options.kl_coef = kl_coef;
  return options;
}

using Gradients = std::map<std::string, Tensor>;

// The gradients of one step. With betas[0] = 0 the first moment is the gradient, bit for bit.
inline Gradients gradients_of(Learner::Setup setup, const std::vector<NamedTensor>& parameters, TrainBatch batch) {
  OptimizerOptions options;
  options.betas = {0.0, 0.95};
  std::vector<NamedTensor> kept;
  for (const auto& [name, tensor] : parameters) kept.emplace_back(name, tensor.detach().clone());
  Adam optimizer(parameters, options, 1e-6);
  Learner(std::move(setup), optimizer).step(batch);
  Gradients gradients;
  for (const auto& [name, tensor] : optimizer.state()) {
    const size_t at = name.rfind(".exp_avg");
    if (at != std::string::npos && at + 8 == name.size()) gradients[name.substr(0, at)] = tensor;
  }
  restore_parameters(parameters, kept, "test");
  return gradients;
}

inline Gradients gradients_of(const CausalLm& model, const Adapter& adapter, const ObjectiveOptions& objective,
                              TrainBatch batch, const TrainOptions& train = {}) {
  return gradients_of({.model = &model, .policy = {&adapter}, .objective = objective, .train = train},
                      adapter.parameters(), std::move(batch));
}

// Equal up to f32 rounding of sums in another order, relative to the largest element of each tensor.
inline void expect_equal(const Gradients& got, const Gradients& want, double tolerance = 2e-5) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) {
    const double scale = tensor.abs().max().item<double>();
    EXPECT_LE(max_difference(got.at(name), tensor), tolerance * scale) << name << " of size " << scale;
  }
}

inline void expect_bit_equal(const Gradients& got, const Gradients& want) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) EXPECT_TRUE(at::equal(got.at(name), tensor)) << name;
}

inline double largest(const Gradients& gradients) {
  double size = 0.0;
  for (const auto& [name, tensor] : gradients) size = std::max(size, tensor.abs().max().item<double>());
  return size;
}

}  // namespace noregret
