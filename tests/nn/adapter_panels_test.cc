#include "nn/adapter_panels.h"

#include <ATen/core/grad_mode.h>

#include <optional>

#include "tests/nn/batch_support.h"
#include "tests/nn/engine_support.h"

namespace noregret {
namespace {

// Stacks in any order give what each gives in a model that has seen no other: logits, and the digest of what is read.
class SitePanelsTest : public testing::TestWithParam<EngineShape> {
 protected:
  Tensor logits(const CausalLm& model, const AdapterStack& stack) {
    const at::NoGradGuard no_grad;
    const TokenBatch batch = batch_of({{3, 1, 4, 1, 5, 9, 2, 6}, {5, 3, 5}});
    return model.logits(model.forward(batch, stack, nullptr), stack);
  }
  void expect_as_in_a_fresh_model(const AdapterStack& stack, const std::string& what) {
    const CausalLm fresh = engine_model(GetParam());
    expect_same_bits(logits(model_, stack), logits(fresh, stack), what);
    EXPECT_EQ(model_.policy_digest(stack), fresh.policy_digest(stack)) << what;
    // A digest that is taken before any forward reads the same.
    EXPECT_EQ(engine_model(GetParam()).policy_digest(stack), fresh.policy_digest(stack)) << what;
  }

  CausalLm model_ = engine_model(GetParam());
};

TEST_P(SitePanelsTest, StacksInTurn) {
  const Adapter one = engine_adapter(model_, 3, 11), two = engine_adapter(model_, 8, 12),
                alike = engine_adapter(model_, 3, 13), wide = engine_adapter(model_, 20, 14),
                some = engine_adapter(model_, 8, 15, {"q_proj", "down_proj"});
  const AdapterStack stacks[] = {{},
                                 {&one},
                                 {&alike},
                                 {&one},
                                 {},
                                 {&one},
                                 {&one, &two},
                                 {&two, &one},
                                 {&one, &one},
                                 {&one, &two, &some},
                                 {&some, &one},
                                 {&some},
                                 {&wide},
                                 {&some},
                                 {&one, &alike},
                                 {&alike}};
  for (size_t i = 0; i < std::size(stacks); ++i) expect_as_in_a_fresh_model(stacks[i], cat("stack ", i));
}

TEST_P(SitePanelsTest, AnAdapterWhereAnotherWas) {
  std::optional<Adapter> adapter;
  std::string last;
  for (uint64_t seed = 1; seed < 9; ++seed) {
    adapter.reset();
    adapter.emplace(engine_adapter(model_, 4, seed));
    expect_as_in_a_fresh_model({&*adapter}, cat("seed ", seed));
    EXPECT_NE(std::exchange(last, model_.policy_digest({&*adapter})), model_.policy_digest({&*adapter}));
  }
}

TEST_P(SitePanelsTest, AnUpdateOfAOrBAlone) {
  Adapter adapter = engine_adapter(model_, 5, 21);
  const Adapter other = engine_adapter(model_, 5, 22);
  for (const auto& [name, tensor] : adapter.parameters()) {
    if (name.find("layers.1.self_attn.o_proj") == std::string::npos) continue;
    for (const bool is_alone : {true, false}) {
      expect_as_in_a_fresh_model({&adapter}, name);
      const std::string before = model_.policy_digest({&adapter});
      if (!is_alone) logits(model_, {&other});
      Tensor(tensor).mul_(1.5);
      expect_as_in_a_fresh_model({&adapter}, name);
      EXPECT_NE(model_.policy_digest({&adapter}), before) << name;
    }
  }
}

TEST_P(SitePanelsTest, WeightsThatAreTrainedBesideAnAdapter) {
  const Adapter adapter = engine_adapter(model_, 6, 31);
  CausalLm late = engine_model(GetParam());
  const auto change = [](CausalLm& model, double factor) {
    for (auto& [name, tensor] : model.parameters()) tensor.detach().mul_(factor);
  };
  logits(model_, {&adapter});
  model_.set_trainable(true);
  logits(model_, {&adapter});
  change(model_, 0.75);
  logits(model_, {&adapter});
  change(model_, 1.5);
  late.set_trainable(true);
  change(late, 0.75);
  change(late, 1.5);
  expect_same_bits(logits(model_, {&adapter}), logits(late, {&adapter}));
}

INSTANTIATE_TEST_SUITE_P(Shapes, SitePanelsTest, testing::ValuesIn(kEngineShapes),
                         [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace noregret
