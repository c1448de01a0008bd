// The CPU kernels against LibTorch's operators on the same weights, in f32 and in f64.
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <map>

#include "noregret/nn/ops.h"
#include "tests/nn/batch_support.h"
#include "tests/nn/engine_support.h"

namespace noregret {
namespace {

// f32 rounding of sums of up to 530 products, through two layers: 1e-6 of the largest element is seen.
constexpr double kRelative = 1e-5;

using Gradients = std::map<std::string, Tensor>;

Tensor random_values(int64_t size, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(size));
  Rng rng(seed);
  for (float& value : values) value = rng.uniform(-1.0f, 1.0f);
  return at::tensor(values, at::kFloat);
}

void expect_close(const Tensor& got, const Tensor& want, double relative, const std::string& what) {
  ASSERT_EQ(got.sizes(), want.sizes()) << what;
  const double largest = want.abs().max().item<double>();
  EXPECT_GT(largest, 0.0) << what;
  EXPECT_LE(max_difference(got.to(at::kDouble), want.to(at::kDouble)), relative * largest) << what;
}

void expect_close(const Gradients& got, const Gradients& want, double relative = kRelative) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) expect_close(got.at(name), tensor, relative, name);
}

// Makes f64 of tensors where they are.
void widen(const std::vector<NamedTensor>& tensors) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) tensor.set_data(tensor.to(at::kDouble));
}

// A model with two adapters on it, the second not on all of its sites.
struct Engine {
  Engine(CausalLm the_model, bool is_f64)
      : model(std::move(the_model)),
        first(engine_adapter(model, 5, 2)),
        second(engine_adapter(model, 2, 3, {"k_proj", "o_proj", "up_proj", "lm_head"})) {
    if (!is_f64) return;
    for (const std::vector<NamedTensor>& tensors : {model.parameters(), first.parameters(), second.parameters()})
      widen(tensors);
  }

  AdapterStack stack() const { return {&first, &second}; }
  std::vector<NamedTensor> adapter_tensors() const {
    std::vector<NamedTensor> all = first.parameters();
    for (auto& [name, tensor] : second.parameters()) all.emplace_back("second." + name, tensor);
    return all;
  }
  void train_adapters() {
    first.set_trainable(true);
    second.set_trainable(true);
  }

  // In the dtype of the weights, by LibTorch's operators alone.
  Tensor aten_logprobs(const Tensor& hidden, const Tensor& targets, double temperature,
                       const AdapterStack& adapters) const {
    const std::vector<NamedTensor> weights = model.parameters();
    const Tensor head = model.config().tie_word_embeddings ? weights.front().second : weights.back().second;
    const Tensor logits = ops::linear(hidden, head, adapters, static_cast<int64_t>(model.sites().size()) - 1);
    return at::log_softmax(logits.div(temperature), 1).gather(1, targets.unsqueeze(1)).squeeze(1);
  }

  // A sum over all rows with coefficients of both signs.
  Tensor loss(const TokenBatch& batch, const AdapterStack& adapters, double temperature = 0.8) const {
    const Tensor hidden = model.forward(batch, adapters, nullptr);
    const Tensor targets = batch.ids.flip(0);
    const Tensor logprobs = model.backend() == Backend::kKernels
                                ? model.token_scores(hidden, targets, temperature, adapters).logprobs
                                : aten_logprobs(hidden, targets, temperature, adapters);
    return logprobs.mul(random_values(logprobs.size(0), 11).to(logprobs.scalar_type())).sum();
  }

  Gradients gradients(const TokenBatch& batch, const AdapterStack& adapters,
                      const std::vector<NamedTensor>& tensors) const {
    loss(batch, adapters).backward();
    Gradients gradients;
    for (const auto& [name, tensor] : tensors) {
      EXPECT_TRUE(tensor.grad().defined()) << name;
      gradients[name] = std::exchange(tensor.mutable_grad(), Tensor());
    }
    return gradients;
  }

  CausalLm model;
  Adapter first, second;
};

class Backends : public testing::TestWithParam<EngineShape> {
 protected:
  Engine kernels() const { return {engine_model(GetParam()), false}; }
  Engine aten() const { return {engine_model(GetParam(), Backend::kAten), false}; }
  Engine f64() const { return {engine_model(GetParam(), Backend::kAten), true}; }

  std::vector<int64_t> some(int64_t length) { return random_ids(length, GetParam().vocab_size, rng_); }
  TokenBatch lone_sequences() { return batch_of({some(9), some(1), some(19)}); }
  TokenBatch families() {
    return batch_of_families({{some(5), {some(3), some(7)}},
                              {some(9), {}},
                              {some(17), {some(2), some(1), some(16)}},
                              {some(16), {some(4)}}});
  }

  Rng rng_{7};
};

TEST_P(Backends, HiddenStatesAndLogitsAreEqual) {
  const at::NoGradGuard no_grad;
  const Engine mine = kernels(), theirs = aten(), exact = f64();
  for (const TokenBatch& batch : {lone_sequences(), families()}) {
    for (const bool is_adapted : {false, true}) {
      const auto stack = [&](const Engine& engine) { return is_adapted ? engine.stack() : AdapterStack{}; };
      const Tensor hidden = mine.model.forward(batch, stack(mine), nullptr);
      expect_close(hidden, theirs.model.forward(batch, stack(theirs), nullptr), kRelative, "hidden states");
      expect_close(hidden, exact.model.forward(batch, stack(exact), nullptr), kRelative, "hidden states in f64");
      expect_close(mine.model.logits(hidden, stack(mine)), theirs.model.logits(hidden, stack(theirs)), kRelative,
                   "logits");
    }
  }
}

TEST_P(Backends, TokenScoresAreEqualAtEveryTemperature) {
  const at::NoGradGuard no_grad;
  const Engine mine = kernels(), theirs = aten();
  const TokenBatch batch = families();
  const Tensor hidden = mine.model.forward(batch, mine.stack(), nullptr), targets = batch.ids.flip(0);
  for (const double temperature : {1.0, 0.7, 2.0}) {
    const TokenScores got = mine.model.token_scores(hidden, targets, temperature, mine.stack());
    const TokenScores want = theirs.model.token_scores(hidden, targets, temperature, theirs.stack());
    // f32 logits of a few units, rounded by 1e-6, through a sum of weights.
    EXPECT_LT(max_difference(got.logprobs, want.logprobs), 1e-5) << temperature;
    EXPECT_LT(max_difference(got.entropy, want.entropy), 1e-5) << temperature;
  }
}

TEST_P(Backends, CachedHiddenStatesAreEqual) {
  const at::NoGradGuard no_grad;
  const Engine mine = kernels(), theirs = aten();
  KvCache pages = mine.model.make_cache(3, 40), slabs = theirs.model.make_cache(3, 40);
  const auto step = [&](const std::vector<std::vector<int64_t>>& runs, const std::vector<int64_t>& slots) {
    const Tensor got = mine.model.forward(appended(pages, runs, slots), mine.stack(), &pages);
    const Tensor want = theirs.model.forward(appended(slabs, runs, slots), theirs.stack(), &slabs);
    expect_close(got, want, kRelative, "hidden states");
  };
  step({some(14), some(17)}, {2, 0});
  for (KvCache* cache : {&pages, &slabs}) cache->copy_slot(2, 1);
  step({some(1), some(5), some(1)}, {1, 2, 0});
  for (KvCache* cache : {&pages, &slabs}) cache->move_slot(1, 0);
  step({some(3), some(12)}, {2, 0});
}

TEST_P(Backends, GradientsOfEveryAdapterTensorAreThoseOfAutogradInF64) {
  Engine mine = kernels(), exact = f64();
  mine.train_adapters();
  exact.train_adapters();
  for (const TokenBatch& batch : {lone_sequences(), families()}) {
    expect_close(mine.gradients(batch, mine.stack(), mine.adapter_tensors()),
                 exact.gradients(batch, exact.stack(), exact.adapter_tensors()));
  }
}

TEST_P(Backends, GradientsOfEveryWeightAreThoseOfAutogradInF64) {
  Engine mine = kernels(), exact = f64();
  mine.model.set_trainable(true);
  exact.model.set_trainable(true);
  for (const TokenBatch& batch : {lone_sequences(), families()}) {
    for (const bool is_adapted : {false, true}) {  // frozen adapters change the path, and get nothing
      const auto stack = [&](const Engine& engine) { return is_adapted ? engine.stack() : AdapterStack{}; };
      expect_close(mine.gradients(batch, stack(mine), mine.model.parameters()),
                   exact.gradients(batch, stack(exact), exact.model.parameters()));
    }
  }
  for (const auto& [name, tensor] : mine.adapter_tensors()) EXPECT_FALSE(tensor.grad().defined()) << name;
}

TEST_P(Backends, GradientsOfOneAdaptedSiteAreThoseOfAutogradInF64) {
  const TokenBatch batch = families();
  for (const std::string target : {"layers.0.self_attn.k_proj", "layers.1.self_attn.v_proj", "layers.1.mlp.down_proj",
                                   "layers.0.mlp.gate_proj", "lm_head"}) {
    Engine mine = kernels(), exact = f64();
    for (Engine* engine : {&mine, &exact}) engine->first = engine_adapter(engine->model, 4, 9, {target});
    widen(exact.first.parameters());
    mine.first.set_trainable(true);
    exact.first.set_trainable(true);
    expect_close(mine.gradients(batch, {&mine.first}, mine.first.parameters()),
                 exact.gradients(batch, {&exact.first}, exact.first.parameters()));
  }
}

TEST_P(Backends, GradientsMatchFiniteDifferencesInF64) {
  Engine mine = kernels(), exact = f64();
  mine.train_adapters();
  mine.model.set_trainable(true);
  const TokenBatch batch = families();
  const auto tensors = [](const Engine& engine) {
    std::vector<NamedTensor> all = engine.adapter_tensors();
    for (auto& entry : engine.model.parameters()) all.push_back(std::move(entry));
    return all;
  };
  const Gradients gradients = mine.gradients(batch, mine.stack(), tensors(mine));
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors(exact)) {
    const Tensor gradient = gradients.at(name).flatten();
    const double largest = gradient.abs().max().item<double>();
    for (const int64_t i : {gradient.abs().argmax().item<int64_t>(), tensor.numel() / 2}) {
      constexpr double kStep = 1e-4;
      double* element = tensor.mutable_data_ptr<double>() + i;
      const double kept = *element;
      *element = kept + kStep;
      const double above = exact.loss(batch, exact.stack()).item<double>();
      *element = kept - kStep;
      const double below = exact.loss(batch, exact.stack()).item<double>();
      *element = kept;
      // Beside f32 rounding, the third derivative times the step's square.
      EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * kStep), 2e-5 * largest) << name << " " << i;
    }
  }
}

TEST_P(Backends, GradientsAreTheSameBitsInEverySetting) {
  Engine mine = kernels();
  mine.train_adapters();
  const TokenBatch batch = families();
  for (const bool trains_weights : {false, true}) {
    if (trains_weights) mine.model.set_trainable(true);
    std::vector<NamedTensor> tensors = mine.adapter_tensors();
    for (auto& entry : mine.model.parameters()) {
      if (trains_weights) tensors.push_back(std::move(entry));
    }
    Gradients first;
    for_each_setting([&](size_t) {
      const Gradients gradients = mine.gradients(batch, mine.stack(), tensors);
      if (first.empty()) first = gradients;
      for (const auto& [name, tensor] : gradients) expect_same_bits(tensor, first.at(name), name);
    });
  }
}

// Rows that are asked for twice, in no order, and more of them than there are.
TEST_P(Backends, GradientsThroughChosenRowsAreThoseThroughAll) {
  const TokenBatch batch = families();
  const int64_t num_rows = batch.num_tokens();
  for (const bool is_f64 : {false, true}) {
    Engine engine = is_f64 ? f64() : kernels();
    engine.train_adapters();
    engine.model.set_trainable(true);
    std::vector<NamedTensor> tensors = engine.model.parameters();
    for (const NamedTensor& adapted : engine.first.parameters()) tensors.push_back(adapted);
    for (const std::vector<int64_t>& choice :
         {std::vector<int64_t>{num_rows - 1, 4, 7, 4, 4}, std::vector<int64_t>(static_cast<size_t>(num_rows) + 3, 8)}) {
      const Tensor rows = at::tensor(choice, at::kLong);
      const auto gradients = [&](const Tensor& chosen) {
        const Tensor factors = random_values(chosen.numel(), 13).view_as(chosen).to(chosen.scalar_type());
        chosen.mul(factors).sum().backward();
        Gradients all;
        for (const auto& [name, tensor] : tensors) {
          if (tensor.grad().defined()) all[name] = std::exchange(tensor.mutable_grad(), Tensor());
        }
        return all;
      };
      const Gradients want = gradients(engine.model.forward(batch, engine.stack(), nullptr).index_select(0, rows));
      const Gradients got = gradients(engine.model.forward(batch, engine.stack(), nullptr, rows));
      EXPECT_GT(want.size(), 20u);
      ASSERT_EQ(got.size(), want.size());
      for (const auto& [name, tensor] : got)
        expect_close(tensor, want.at(name), is_f64 ? 1e-12 : kRelative, name.c_str());
    }
  }
}

TEST_P(Backends, ASecondBackwardPassOfTheKernelsIsABug) {
  Engine mine = kernels();
  mine.train_adapters();
  const Tensor sum = mine.model.forward(lone_sequences(), mine.stack(), nullptr).sum();
  sum.backward({}, /*retain_graph=*/true);
  EXPECT_THROW(sum.backward(), std::logic_error);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Backends, testing::ValuesIn(kEngineShapes),
                         [](const auto& shape) { return std::string(shape.param.name); });

TEST(BackendsOfFolders, LogitsAndDigestsAreEqual) {
  const at::NoGradGuard no_grad;
  for (const char* name : {"tied", "untied_mha", "one_kv_head", "bf16", "rope_linear", "rope_dynamic", "rope_llama3",
                           "rope_yarn", "rope_yarn_attention"}) {
    const CausalLm mine = CausalLm::load(golden_dir() / name, at::kCPU, Backend::kKernels);
    const CausalLm theirs = CausalLm::load(golden_dir() / name, at::kCPU, Backend::kAten);
    EXPECT_EQ(mine.digest(), theirs.digest()) << name;
    const TokenBatch batch = batch_of({some_ids(13, 1), some_ids(6, 2)});
    expect_close(logits_of(mine, {}, batch), logits_of(theirs, {}, batch), kRelative, name);
  }
}

TEST(BackendsOfFolders, ParametersAreTheCheckpointsValues) {
  for (const char* name : {"tied", "untied_mha", "bf16"}) {
    for (const Backend backend : {Backend::kKernels, Backend::kAten}) {
      const CausalLm model = CausalLm::load(golden_dir() / name, at::kCPU, backend);
      std::map<std::string, Tensor> stored;
      for (const auto& [key, tensor] : read_tensors(golden_dir() / name / "model.safetensors")) stored[key] = tensor;
      EXPECT_EQ(stored.size(), model.parameters().size()) << name;
      for (const auto& [key, tensor] : model.parameters())
        expect_same_bits(tensor, stored.at(key).to(at::kFloat), std::string(name) + " " + key);
    }
  }
}

TEST(Backend, OfADeviceIsItsKernels) {
  EXPECT_EQ(default_backend(at::kCPU), Backend::kKernels);
  EXPECT_EQ(default_backend(at::Device(at::kCUDA, 0)), Backend::kCuda);
}

}  // namespace
}  // namespace noregret
