#include "noregret/run/memory_plan.h"

#include <gmock/gmock.h>

#include "tests/run/run_support.h"

namespace noregret {
namespace {

class MemoryPlanTest : public RunTest {
 protected:
  MemoryPlan plan(const RunConfig& config) {
    const Policy policy = load_policy(config, at::kCPU);
    return plan_memory(config, policy.model, policy.adapter ? &*policy.adapter : nullptr);
  }
};

TEST_F(MemoryPlanTest, LearningGrowsWithTheMicrobatchAndShrinksWithCheckpointing) {
  RunConfig config = rl_config(model_dir());
  config.train.microbatch_tokens = 1000;
  const double small = plan(config).learning;
  config.train.microbatch_tokens = 2000;
  const double large = plan(config).learning;
  EXPECT_GT(large, 1.5 * small);
  config.train.gradient_checkpointing = true;
  EXPECT_LT(plan(config).learning, large);
}

TEST_F(MemoryPlanTest, SftWithoutEvaluationSamplesNothing) {
  RunConfig config = sft_config(model_dir());
  config.eval.every = 0;
  EXPECT_EQ(plan(config).sampling, 0.0);
  EXPECT_GT(plan(rl_config(model_dir())).sampling, 0.0);
}

TEST_F(MemoryPlanTest, FullFineTuningHoldsSevenMoreCopies) {
  RunConfig config = sft_config(model_dir());
  config.adapter.reset();
  const MemoryPlan full = plan(config);
  EXPECT_EQ(full.trained, 7.0 * full.weights);
}

TEST_F(MemoryPlanTest, PhasesTakeTurns) {
  MemoryPlan plan;
  plan.weights = 1e9;
  plan.sampling = 2e9;
  plan.learning = 3e9;
  EXPECT_EQ(plan.total(), 4e9);
  EXPECT_THAT(plan.text(), testing::HasSubstr("about 4.00 GB at the peak (weights 1.00"));
}

}  // namespace
}  // namespace noregret
