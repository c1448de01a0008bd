// The same facts as in exactness_test.cc, of a real model.
#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "noregret/nn/ops.h"
#include "tests/nn/batch_support.h"
#include "tests/nn/engine_support.h"

namespace noregret {
namespace {

class ExactnessOfSmolLm2 : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const fs::path folder = fs::path(NOREGRET_SOURCE_DIR) / "models/smollm2-135m";
    if (fs::exists(folder / "model.safetensors")) model_ = new CausalLm(CausalLm::load(folder, at::kCPU));
  }
  static void TearDownTestSuite() { delete std::exchange(model_, nullptr); }

  void SetUp() override {
    if (model_ == nullptr) GTEST_SKIP() << "no models/smollm2-135m: make models";
    adapter_.emplace(Adapter::create(model_->sites(), adapter_options(8, 32), 1, at::kCPU));
    fill_b(*adapter_, 0.01f, 2);
    adapter_->set_trainable(true);
  }

  AdapterStack stack() const { return {&*adapter_}; }
  Tensor logprobs(const Tensor& hidden, const std::vector<int64_t>& targets) const {
    return model_->token_scores(hidden, at::tensor(targets, at::kLong), 1.0, stack()).logprobs;
  }
  std::vector<int64_t> some(int64_t length) { return random_ids(length, model_->config().vocab_size, rng_); }

  static CausalLm* model_;
  std::optional<Adapter> adapter_;
  Rng rng_{3};
};
CausalLm* ExactnessOfSmolLm2::model_ = nullptr;

TEST_F(ExactnessOfSmolLm2, PackedAndCachedSequencesGiveTheBitsOfEachAlone) {
  const at::NoGradGuard no_grad;
  const std::vector<Family> families = {{some(17), {some(3), some(9)}}, {some(6), {some(12)}}};
  const TokenBatch packed = batch_of_families(families);
  Tensor want;
  {
    const EngineSetting setting(kernels::supported_isas().back(), 1);
    std::vector<Tensor> rows;
    for (const Family& family : families) {
      const auto length = static_cast<int64_t>(family.prompt.size());
      for (size_t i = 0; i < family.tails.size(); ++i) {
        const Tensor whole = model_->forward(batch_of({joined_ids(family.prompt, family.tails[i])}), stack(), nullptr);
        if (i == 0) rows.push_back(whole.narrow(0, 0, length));
        rows.push_back(whole.narrow(0, length, whole.size(0) - length));
      }
    }
    want = at::cat(rows);
  }
  const auto* ids = packed.ids.const_data_ptr<int64_t>();
  const std::vector<int64_t> targets(ids, ids + packed.ids.size(0));
  const Tensor want_logprobs = logprobs(want, targets);
  for (const int num_threads : {2, 3}) {
    const EngineSetting setting(kernels::supported_isas().back(), num_threads);
    const Tensor hidden = model_->forward(packed, stack(), nullptr);
    expect_same_bits(hidden, want, "packed");
    expect_same_bits(logprobs(hidden, targets), want_logprobs, "packed");

    KvCache cache = model_->make_cache(4, 32);
    std::vector<Tensor> rows(5);
    const Tensor prompts =
        model_->forward(appended(cache, {families[0].prompt, families[1].prompt}, {0, 2}), stack(), &cache);
    rows[0] = prompts.narrow(0, 0, 17);
    rows[3] = prompts.narrow(0, 17, 6);
    cache.copy_slot(0, 1);
    cache.move_slot(2, 3);
    const std::vector<std::vector<int64_t>> tails = {families[0].tails[0], families[0].tails[1], families[1].tails[0]};
    std::vector<std::vector<Tensor>> decoded(3);
    for (size_t t = 0; t < 12; ++t) {
      std::vector<std::vector<int64_t>> runs;
      std::vector<int64_t> slots;
      std::vector<size_t> members;
      for (size_t i = 0; i < 3; ++i) {
        if (t >= tails[i].size()) continue;
        runs.push_back({tails[i][t]});
        slots.push_back(i < 2 ? static_cast<int64_t>(i) : 3);
        members.push_back(i);
      }
      const Tensor last = model_->forward(appended(cache, runs, slots), stack(), &cache);
      for (size_t m = 0; m < members.size(); ++m)
        decoded[members[m]].push_back(last.narrow(0, static_cast<int64_t>(m), 1));
    }
    rows[1] = at::cat(decoded[0]);
    rows[2] = at::cat(decoded[1]);
    rows[4] = at::cat(decoded[2]);
    expect_same_bits(at::cat(rows), want, "cached");
  }
}

TEST_F(ExactnessOfSmolLm2, TheSamplersLogprobsAreTheLearnersWithGradients) {
  const std::vector<int64_t> prompt = some(11);
  std::vector<int64_t> tokens(4);
  std::vector<float> sampled(4);
  {
    const at::NoGradGuard no_grad;
    const EngineSetting setting(kernels::supported_isas().back(), 2);
    KvCache cache = model_->make_cache(1, 32);
    Tensor hidden = model_->forward(appended(cache, {prompt}, {0}), stack(), &cache).narrow(0, 10, 1);
    for (size_t t = 0; t < 4; ++t) {
      const float uniform = rng_.uniform();
      ASSERT_TRUE(ops::sample(model_->logits(hidden, stack()), 1.0, &uniform, &tokens[t], &sampled[t]));
      hidden = model_->forward(appended(cache, {{tokens[t]}}, {0}), stack(), &cache);
    }
  }
  const EngineSetting setting(kernels::supported_isas().back(), 1);
  const std::vector<int64_t> ids = joined_ids(prompt, std::span(tokens).first(3));
  const Tensor learned =
      logprobs(model_->forward(batch_of({some(5), ids}), stack(), nullptr).narrow(0, 5 + 10, 4), tokens);
  EXPECT_TRUE(learned.requires_grad());
  expect_same_bits(learned, at::tensor(sampled, at::kFloat));
}

TEST_F(ExactnessOfSmolLm2, EveryInstructionSetGivesTheSameBits) {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t> ids = some(3);
  std::vector<Tensor> hidden, scores;
  for (const kernels::Isa isa : kernels::supported_isas()) {
    const EngineSetting setting(isa, 2);
    hidden.push_back(model_->forward(batch_of({ids}), stack(), nullptr));
    scores.push_back(logprobs(hidden.back(), ids));
    expect_same_bits(hidden.back(), hidden[0], std::string(kernels::isa_name(isa)));
    expect_same_bits(scores.back(), scores[0], std::string(kernels::isa_name(isa)));
  }
}

}  // namespace
}  // namespace noregret
