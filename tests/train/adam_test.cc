#include "noregret/train/adam.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "noregret/base/error.h"
#include "noregret/tensor/device.h"
#include "tests/train/train_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Tensor values(const std::vector<double>& numbers) { return at::tensor(numbers, at::kDouble).to(at::kFloat); }

Tensor random(int64_t size, uint64_t seed) {
  std::vector<double> numbers;
  Rng rng(seed);
  for (int64_t i = 0; i < size; ++i) numbers.push_back(rng.uniform(-1.0f, 1.0f));
  return values(numbers);
}

Tensor leaf(const Tensor& start) { return start.clone().requires_grad_(); }

void set_grad(const Tensor& parameter, const Tensor& grad) { parameter.mutable_grad() = grad; }

Tensor state_of(const Adam& optimizer, const std::string& name) {
  for (const auto& [known, tensor] : optimizer.state()) {
    if (known == name) return tensor;
  }
  ADD_FAILURE() << "no state " << name;
  return Tensor();
}

TEST(Adam, MatchesTorchAdamW) {
  const fs::path path =
      fs::path(NOREGRET_SOURCE_DIR) / "tests/golden/train/adam.json";  // made by make_adam_golden.py beside it
  const Json golden = parse_json(read_file(path), path.string());
  for (const auto& [name, entry] : golden["cases"].items()) {
    OptimizerOptions options;
    options.betas = entry["options"]["betas"].get<std::vector<double>>();
    options.eps = entry["options"]["eps"];
    options.weight_decay = entry["options"]["weight_decay"];
    const Tensor weights = leaf(values(golden["start"].get<std::vector<double>>()));
    Adam optimizer({{"w", weights}}, options, entry["options"]["lr"]);
    for (size_t step = 0; step < golden["gradients"].size(); ++step) {
      set_grad(weights, values(golden["gradients"][step].get<std::vector<double>>()));
      ASSERT_TRUE(optimizer.step());
      const Tensor want = at::tensor(entry["after"][step].get<std::vector<double>>(), at::kDouble);
      // The reference is f64: f32 weights of order 1 round by 1e-7 a step.
      EXPECT_LT(max_difference(weights.detach().to(at::kDouble), want), 1e-6) << name << " step " << step;
    }
    const Tensor exp_avg = at::tensor(entry["exp_avg"].get<std::vector<double>>(), at::kDouble);
    const Tensor exp_avg_sq = at::tensor(entry["exp_avg_sq"].get<std::vector<double>>(), at::kDouble);
    const auto relative = [](const Tensor& got, const Tensor& want) {
      return got.to(at::kDouble).sub(want).abs().div(want.abs().add(1e-30)).max().item<double>();
    };
    EXPECT_LT(relative(state_of(optimizer, "w.exp_avg"), exp_avg), 1e-5) << name;  // sums of both signs
    EXPECT_LT(relative(state_of(optimizer, "w.exp_avg_sq"), exp_avg_sq), 1e-6) << name;
  }
}

TEST(Adam, MatchesTheAlgorithmWrittenOut) {
  OptimizerOptions options;
  options.weight_decay = 0.05;
  constexpr double kLr = 3e-3;
  const Tensor weights = leaf(random(17, 1));
  std::vector<double> w, m(17, 0.0), v(17, 0.0);
  for (int64_t i = 0; i < 17; ++i) w.push_back(weights[i].item<double>());
  Adam optimizer({{"w", weights}}, options, kLr);
  for (int step = 1; step <= 30; ++step) {
    const Tensor grad = random(17, 100 + step);
    set_grad(weights, grad.clone());
    ASSERT_TRUE(optimizer.step());
    for (int64_t i = 0; i < 17; ++i) {
      const double g = grad[i].item<double>();
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.95 * v[i] + 0.05 * g * g;
      const double m_hat = m[i] / (1.0 - std::pow(0.9, step));
      const double v_hat = v[i] / (1.0 - std::pow(0.95, step));
      w[i] = w[i] * (1.0 - kLr * 0.05) - kLr * m_hat / (std::sqrt(v_hat) + 1e-8);
    }
  }
  const Tensor want = at::tensor(w, at::kDouble);
  EXPECT_LT(max_difference(weights.detach().to(at::kDouble), want), 2e-6);  // 30 roundings of f32 weights below 1
}

TEST(Adam, FirstUpdateMovesEveryWeightByLr) {
  const Tensor weights = leaf(values({0.0, 0.0, 0.0}));
  Adam optimizer({{"w", weights}}, {}, 0.01);
  set_grad(weights, values({1e-3, -5.0, 2e4}));
  ASSERT_TRUE(optimizer.step());
  EXPECT_LT(max_difference(weights.detach(), values({-0.01, 0.01, -0.01})), 1e-6);  // eps / 1e-3 = 1e-5 of it
}

TEST(Adam, DecayIsDecoupledFromTheGradient) {
  OptimizerOptions options;
  options.weight_decay = 0.5;
  const Tensor weights = leaf(values({2.0}));
  Adam optimizer({{"w", weights}}, options, 0.1);
  set_grad(weights, values({0.0}));
  ASSERT_TRUE(optimizer.step());
  EXPECT_FLOAT_EQ(weights.item<float>(), 2.0f * 0.95f);
  EXPECT_EQ(state_of(optimizer, "w.exp_avg").item<float>(), 0.0f);
}

TEST(Adam, AParameterWithoutGradientStaysWithItsMoments) {
  const Tensor a = leaf(random(4, 1)), b = leaf(random(4, 2));
  OptimizerOptions options;
  options.weight_decay = 0.1;
  Adam optimizer({{"a", a}, {"b", b}}, options, 0.01);
  set_grad(a, random(4, 3));
  set_grad(b, random(4, 4));
  ASSERT_TRUE(optimizer.step());
  const Tensor weights = b.detach().clone(), exp_avg = state_of(optimizer, "b.exp_avg").clone();
  optimizer.zero_grad();
  set_grad(a, random(4, 5));
  ASSERT_TRUE(optimizer.step());
  EXPECT_TRUE(at::equal(b.detach(), weights));
  EXPECT_TRUE(at::equal(state_of(optimizer, "b.exp_avg"), exp_avg));
}

TEST(Adam, AnUpdateWithoutAnyGradientDoesNotCount) {
  const Tensor weights = leaf(random(4, 1));
  Adam optimizer({{"w", weights}}, {}, 0.01);
  ASSERT_TRUE(optimizer.step());
  EXPECT_TRUE(at::equal(weights.detach(), random(4, 1)));
  EXPECT_EQ(state_of(optimizer, "step").item<int64_t>(), 0);
}

TEST(Adam, GradNormIsOverAllParameters) {
  const Tensor a = leaf(values({0.0, 0.0})), b = leaf(values({0.0})), c = leaf(values({0.0}));
  Adam optimizer({{"a", a}, {"b", b}, {"c", c}}, {}, 0.01);
  EXPECT_EQ(optimizer.grad_norm(), 0.0);
  set_grad(a, values({2.0, 3.0}));
  set_grad(b, values({-6.0}));
  EXPECT_NEAR(optimizer.grad_norm(), 7.0, 1e-6);
}

TEST(Adam, GradNormShowsASingleNonFiniteElement) {
  for (const double bad : {kNaN, kInfinity, -kInfinity}) {
    const Tensor a = leaf(random(1000, 1)), b = leaf(random(3, 2));
    Adam optimizer({{"a", a}, {"b", b}}, {}, 0.01);
    const Tensor grad = random(1000, 3);
    grad[517] = bad;
    set_grad(a, grad);
    set_grad(b, random(3, 4));
    EXPECT_FALSE(std::isfinite(optimizer.grad_norm())) << bad;
  }
}

TEST(Adam, ClippingScalesAllGradientsToTheNorm) {
  OptimizerOptions options;
  options.max_grad_norm = 3.5;
  const Tensor a = leaf(values({0.0, 0.0})), b = leaf(values({0.0}));
  Adam optimizer({{"a", a}, {"b", b}}, options, 0.01);
  set_grad(a, values({2.0, 3.0}));
  set_grad(b, values({-6.0}));
  optimizer.clip_grad_norm(optimizer.grad_norm());
  EXPECT_LT(max_difference(a.grad(), values({1.0, 1.5})), 1e-6);
  EXPECT_LT(max_difference(b.grad(), values({-3.0})), 1e-6);
}

TEST(Adam, ClippingLeavesSmallGradientsAndZeroMeansNever) {
  for (const double max_norm : {0.0, 100.0}) {
    OptimizerOptions options;
    options.max_grad_norm = max_norm;
    const Tensor a = leaf(values({0.0, 0.0}));
    Adam optimizer({{"a", a}}, options, 0.01);
    set_grad(a, values({3.0, 0.1}));
    optimizer.clip_grad_norm(optimizer.grad_norm());
    EXPECT_TRUE(at::equal(a.grad(), values({3.0, 0.1}))) << max_norm;
  }
}

TEST(Adam, ZeroGradFreesGradients) {
  const Tensor a = leaf(values({1.0}));
  Adam optimizer({{"a", a}}, {}, 0.01);
  set_grad(a, values({1.0}));
  optimizer.zero_grad();
  EXPECT_FALSE(a.grad().defined());
}

TEST(Adam, StateHasNamesInTheOrderOfParameters) {
  const Adam optimizer({{"x.a", leaf(values({1.0}))}, {"x.b", leaf(values({1.0}))}}, {}, 0.01);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer.state()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("x.a.exp_avg", "x.a.exp_avg_sq", "x.b.exp_avg", "x.b.exp_avg_sq", "step"));
  EXPECT_EQ(state_of(optimizer, "step").sizes(), at::IntArrayRef{1});
  EXPECT_EQ(state_of(optimizer, "step").scalar_type(), at::kLong);
}

void run(Adam& optimizer, const Tensor& weights, int first, int last) {
  for (int step = first; step <= last; ++step) {
    set_grad(weights, random(weights.numel(), 50 + step).to(weights.scalar_type()));
    ASSERT_TRUE(optimizer.step());
  }
}

TEST(Adam, ARestoredOptimizerGoesOnBitForBit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    OptimizerOptions options;
    options.weight_decay = 0.01;
    const Tensor straight = leaf(random(33, 1).to(dtype)), first = leaf(random(33, 1).to(dtype));
    Adam whole({{"w", straight}}, options, 1e-3);
    run(whole, straight, 1, 10);
    Adam before({{"w", first}}, options, 1e-3);
    run(before, first, 1, 4);
    const TempFolder folder("adam_state");
    write_file_atomic(folder.path() / "s.safetensors", tensors_to_bytes(before.state()));
    const Tensor second = leaf(first.detach());
    Adam after({{"w", second}}, options, 1e-3);
    after.restore(read_tensors(folder.path() / "s.safetensors"), "s.safetensors");
    run(after, second, 5, 10);
    EXPECT_TRUE(at::equal(second.detach(), straight.detach())) << c10::toString(dtype);
    EXPECT_TRUE(at::equal(state_of(after, "w.exp_avg_sq"), state_of(whole, "w.exp_avg_sq")));
    EXPECT_EQ(state_of(after, "step").item<int64_t>(), 10);
  }
}

TEST(Adam, RestoreRefusesAnotherRunsStateAndChangesNothing) {
  const Tensor weights = leaf(random(4, 1));
  Adam optimizer({{"w", weights}}, {}, 0.01);
  run(optimizer, weights, 1, 2);
  const Tensor kept = state_of(optimizer, "w.exp_avg").clone();
  const Tensor moment = random(4, 9), count = at::tensor({int64_t{3}}, at::kLong);
  const auto refuse = [&](const std::vector<NamedTensor>& state) {
    const std::string message = error_of<DataError>([&] { optimizer.restore(state, "ckpt/optimizer.safetensors"); });
    EXPECT_TRUE(at::equal(state_of(optimizer, "w.exp_avg"), kept));
    EXPECT_EQ(state_of(optimizer, "step").item<int64_t>(), 2);
    EXPECT_THAT(message, HasSubstr("ckpt/optimizer.safetensors: "));
    return message;
  };
  EXPECT_THAT(refuse({{"w.exp_avg", moment}, {"step", count}}), HasSubstr("holds no tensor 'w.exp_avg_sq'"));
  EXPECT_THAT(refuse({{"w.exp_avg", moment}, {"w.exp_avg_sq", moment}}), HasSubstr("holds no tensor 'step'"));
  EXPECT_THAT(refuse({{"w.exp_avg", moment}, {"w.exp_avg_sq", moment}, {"step", count}, {"v.exp_avg", moment}}),
              HasSubstr("holds tensor 'v.exp_avg', which this run does not have"));
  EXPECT_THAT(refuse({{"w.exp_avg", random(5, 1)}, {"w.exp_avg_sq", moment}, {"step", count}}),
              AllOf(HasSubstr("[5]"), HasSubstr("want Float [4]")));
  EXPECT_THAT(refuse({{"w.exp_avg", moment.to(at::kDouble)}, {"w.exp_avg_sq", moment}, {"step", count}}),
              HasSubstr("Double"));
  EXPECT_THAT(refuse({{"w.exp_avg", moment}, {"w.exp_avg_sq", at::full({4}, kNaN)}, {"step", count}}),
              HasSubstr("holds NaN or infinity"));
  EXPECT_THAT(refuse({{"w.exp_avg", moment}, {"w.exp_avg_sq", moment}, {"step", at::tensor({int64_t{-1}}, at::kLong)}}),
              HasSubstr("step is -1"));
}

TEST(Adam, RestoredStateIsACopy) {
  const Tensor weights = leaf(random(4, 1));
  Adam optimizer({{"w", weights}}, {}, 0.01);
  const Tensor moment = random(4, 2).abs();
  optimizer.restore({{"w.exp_avg", moment}, {"w.exp_avg_sq", moment}, {"step", at::tensor({int64_t{1}}, at::kLong)}},
                    "test");
  run(optimizer, weights, 1, 1);
  EXPECT_TRUE(at::equal(moment, random(4, 2).abs()));
}

TEST(Adam, RefusesBetasThatAreNoTwoDecayRates) {
  for (const std::vector<double>& betas : std::vector<std::vector<double>>{
           {}, {0.9}, {0.9, 0.95, 0.99}, {1.0, 0.95}, {0.9, 1.0}, {-0.1, 0.9}, {kNaN, 0.9}}) {
    OptimizerOptions options;
    options.betas = betas;
    EXPECT_THAT(error_of<ConfigError>([&] {
                  Adam({{"w", leaf(values({1.0}))}}, options, 0.01);
                }),
                AllOf(HasSubstr("optimizer.betas is ["), HasSubstr("want two numbers in [0, 1)")));
  }
}

TEST(Adam, RefusesOtherDtypesAndLearningRatesAsBugs) {
  EXPECT_THROW(Adam({{"w", at::zeros({1}, at::kDouble)}}, {}, 0.01), std::logic_error);
  EXPECT_THROW(Adam({{"w", leaf(values({1.0}))}}, {}, 0.0), std::logic_error);
  EXPECT_THROW(Adam({{"w", leaf(values({1.0}))}}, {}, kNaN), std::logic_error);
}

void expect_refused(const Tensor& bad_weights, const Tensor& bad_grad, double lr) {
  const Tensor good = leaf(random(3, 1)), bad = leaf(bad_weights);
  Adam optimizer({{"good", good}, {"bad", bad}}, {}, lr);
  set_grad(good, random(3, 2));
  set_grad(bad, bad_grad);
  EXPECT_FALSE(optimizer.step());
  EXPECT_TRUE(at::equal(good.detach(), random(3, 1)));
  EXPECT_TRUE(at::equal(bad.detach(), bad_weights));
  for (const char* name : {"good.exp_avg", "good.exp_avg_sq", "bad.exp_avg", "bad.exp_avg_sq"}) {
    EXPECT_EQ(state_of(optimizer, name).abs().max().item<double>(), 0.0) << name;
  }
  EXPECT_EQ(state_of(optimizer, "step").item<int64_t>(), 0);
}

TEST(Adam, AnOverflowingWeightLeavesEverythingAsItWas) {
  expect_refused(values({3.3e38, 1.0}), values({-1.0, 1.0}), 1e38);
}

TEST(Adam, AnOverflowingSecondMomentLeavesEverythingAsItWas) {
  // 1e25 is finite, its square is not; the weight would never move again.
  expect_refused(values({1.0, 1.0}), values({1e25, 1.0}), 0.01);
}

TEST(Adam, ANaNGradientLeavesEverythingAsItWas) { expect_refused(values({1.0, 1.0}), values({kNaN, 1.0}), 0.01); }

TEST(Adam, UpdatesBelowTheSpacingOfBf16AddUp) {
  const Tensor weights = leaf(at::full({2}, 1.0, at::kBFloat16));
  Adam optimizer({{"w", weights}}, {}, 1e-4);  // the spacing below 1 is 2^-8 = 3.9e-3
  for (int step = 0; step < 100; ++step) {
    set_grad(weights, at::full({2}, 1.0, at::kBFloat16));
    ASSERT_TRUE(optimizer.step());
  }
  EXPECT_NEAR(state_of(optimizer, "w.master")[0].item<double>(), 0.99, 1e-5);
  EXPECT_NEAR(weights[0].item<double>(), 0.99, 2e-3);
  EXPECT_EQ(weights.scalar_type(), at::kBFloat16);
}

TEST(Adam, DoesNotDependOnTheNumberOfThreads) {
  std::vector<Tensor> results;
  for (const int num_threads : {1, 2, 3}) {
    set_num_threads(num_threads);
    const Tensor weights = leaf(random(100003, 1));
    Adam optimizer({{"w", weights}}, {}, 1e-3);
    run(optimizer, weights, 1, 3);
    results.push_back(weights.detach());
  }
  set_num_threads(1);
  EXPECT_TRUE(at::equal(results[0], results[1]));
  EXPECT_TRUE(at::equal(results[0], results[2]));
}

TEST(Adam, TakesGradientsOfAnyLayout) {
  const Tensor grad = random(6, 3);
  const Tensor plain = leaf(random(6, 1).view({2, 3})), other = leaf(random(6, 1).view({2, 3}));
  Adam a({{"w", plain}}, {}, 0.01), b({{"w", other}}, {}, 0.01);
  set_grad(plain, grad.view({3, 2}).t().contiguous());
  set_grad(other, grad.view({3, 2}).t());
  ASSERT_TRUE(a.step());
  ASSERT_TRUE(b.step());
  EXPECT_TRUE(at::equal(plain.detach(), other.detach()));
}

}  // namespace
}  // namespace noregret
