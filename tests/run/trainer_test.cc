#include "noregret/run/trainer.h"

#include "noregret/base/error.h"
#include "tests/run/run_support.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class TrainerTest : public RunTest {};

double mean_of(const std::vector<Json>& lines, const std::string& name, size_t begin, size_t end) {
  double sum = 0.0;
  for (size_t i = begin; i < end; ++i) sum += lines.at(i).at(name).get<double>();
  return sum / static_cast<double>(end - begin);
}

TEST_F(TrainerTest, SftLowersTheLoss) {
  RunConfig config = sft_config(model_dir());
  config.train.steps = 20;
  const RunResult result = train(config, run_dir(), letters());
  EXPECT_EQ(result.interruption, "");
  EXPECT_EQ(result.summary.steps, 20);
  const std::vector<Json> lines = metrics_in(run_dir());
  ASSERT_EQ(lines.size(), 20u);
  EXPECT_EQ(lines.front()["step"], 1);
  EXPECT_EQ(lines.back()["step"], 20);
  EXPECT_LT(mean_of(lines, "loss/value", 17, 20), 0.5 * mean_of(lines, "loss/value", 0, 3));
}

TEST_F(TrainerTest, SftOfAllWeightsLowersTheLoss) {
  RunConfig config = sft_config(model_dir());
  config.adapter.reset();
  config.train.steps = 12;
  config.optimizer.lr = "3e-3";
  train(config, run_dir(), letters());
  const std::vector<Json> lines = metrics_in(run_dir());
  EXPECT_LT(mean_of(lines, "loss/value", 10, 12), 0.7 * mean_of(lines, "loss/value", 0, 2));
  EXPECT_FALSE(lines[0].contains("adapter/norm_a"));
}

TEST_F(TrainerTest, RlRaisesTheReward) {
  RunConfig config = rl_config(model_dir());
  config.train.steps = 12;
  const RunResult result = train(config, run_dir(), letters());
  const std::vector<Json> lines = metrics_in(run_dir());
  ASSERT_EQ(result.summary.rewards.size(), 12u);
  EXPECT_EQ(lines[11]["reward/mean"], result.summary.rewards[11]);
  // Half of the samples and more, from a few percent; shuffled rewards would leave it there.
  EXPECT_GT(mean_of(lines, "reward/mean", 9, 12), mean_of(lines, "reward/mean", 0, 3) + 0.2);
}

TEST_F(TrainerTest, SamplerAndLearnerAgreeInEveryStep) {
  train(rl_config(model_dir()), run_dir(), letters());
  for (const Json& line : metrics_in(run_dir())) {
    // The same f32 forward, in other batches.
    EXPECT_LE(line.at("policy/max_abs_logprob_diff").get<double>(), 1e-4);
    EXPECT_EQ(line["optim/skipped"], 0.0);
  }
}

TEST_F(TrainerTest, WritesWhatAPersonLooksFor) {
  RunConfig config = rl_config(model_dir());
  config.train.steps = 3;
  config.eval.every = 2;
  config.log.rollouts_every = 2;
  const RunResult result = train(config, run_dir(), letters());
  EXPECT_THAT(result.printed, HasSubstr("memory about 0.2"));  // the program, beside a model of some thousand weights
  EXPECT_THAT(result.printed, HasSubstr("learning rate "));
  EXPECT_THAT(result.printed, HasSubstr("step 1/3  reward "));
  EXPECT_THAT(result.printed, HasSubstr("evaluation after step 0: greedy accuracy "));
  EXPECT_THAT(result.printed, HasSubstr("  completion  "));
  EXPECT_EQ(text_of(run_dir() / "log.txt"), result.printed);
  EXPECT_TRUE(fs::exists(run_dir() / "rollouts/step_000002.jsonl"));
  EXPECT_TRUE(fs::exists(run_dir() / "rollouts/step_000003.jsonl"));  // the last step
  EXPECT_FALSE(fs::exists(run_dir() / "rollouts/step_000001.jsonl"));
  EXPECT_TRUE(fs::exists(run_dir() / "evals/step_000000.greedy.jsonl"));
}

TEST_F(TrainerTest, EvaluatesBeforeTheFirstAndAfterTheLastStep) {
  RunConfig config = sft_config(model_dir());
  config.train.steps = 5;
  config.eval.every = 2;
  const RunResult result = train(config, run_dir(), letters());
  std::vector<int64_t> evaluated;
  for (const Json& line : metrics_in(run_dir())) {
    if (line.contains("eval/greedy/avg")) evaluated.push_back(line["step"]);
  }
  EXPECT_THAT(evaluated, ElementsAre(0, 2, 4, 5));
  ASSERT_EQ(result.summary.before.size(), 1u);
  ASSERT_EQ(result.summary.after.size(), 1u);
  EXPECT_EQ(result.summary.before[0].accuracy.size(), 6u);
}

TEST_F(TrainerTest, NoStepsStillLeaveACheckpoint) {
  RunConfig config = sft_config(model_dir());
  config.train.steps = 0;
  const RunResult result = train(config, run_dir(), letters());
  EXPECT_EQ(result.summary.steps, 0);
  EXPECT_EQ(newest_checkpoint(run_dir()).filename(), "step_000000");
  EXPECT_THAT(metrics_in(run_dir()), IsEmpty());
}

TEST_F(TrainerTest, TheKlPenaltyHoldsThePolicyBack) {
  RunConfig config = rl_config(model_dir());
  config.train.steps = 8;
  config.objective.kl_coef = 1e-9;
  train(config, run_dir("free"), letters());
  config.objective.kl_coef = 10.0;
  train(config, run_dir("held"), letters());
  const auto last_kl = [&](const char* name) {
    return metrics_in(run_dir(name)).back()["policy/kl_reference"].get<double>();
  };
  EXPECT_LT(last_kl("held"), 0.5 * last_kl("free"));
}

TEST_F(TrainerTest, AStartAdapterIsGoneOnFromAndIsTheReference) {
  RunConfig config = sft_config(model_dir());
  train(config, run_dir("sft"), letters());
  RunConfig rl = rl_config(model_dir());
  rl.adapter->init_from = run_dir("sft").string();
  rl.objective.kl_coef = 0.1;
  rl.train.steps = 1;
  train(rl, run_dir("rl"), letters());
  const Json line = metrics_in(run_dir("rl")).at(0);
  EXPECT_NEAR(line["policy/kl_reference"].get<double>(), 0.0,
              1e-6);                                     // before the first update policy and reference are one
  EXPECT_GT(line["adapter/norm_b"].get<double>(), 0.1);  // a fresh one has B = 0
}

TEST_F(TrainerTest, SameSeedGivesTheSameBytes) {
  RunConfig config = rl_config(model_dir());
  config.train.steps = 3;
  config.eval.every = 2;
  config.eval.samples = 2;
  train(config, run_dir("a"), letters());
  train(config, run_dir("b"), letters());
  EXPECT_EQ(results_of(run_dir("a")), results_of(run_dir("b")));
  config.seed = 2;
  train(config, run_dir("c"), letters());
  EXPECT_NE(results_of(run_dir("a")), results_of(run_dir("c")));
}

TEST_F(TrainerTest, DivergenceEndsTheRunAndLeavesTheLastCheckpoint) {
  RunConfig config = sft_config(model_dir());
  config.optimizer.lr = "1e30";  // finite weights, and then no finite log-prob
  config.train.max_skipped_updates = 2;
  config.train.save_every = 1;
  const std::string error = message_of<DivergedError>([&] { train(config, run_dir(), letters()); });
  EXPECT_THAT(error, HasSubstr("2 updates in a row"));
  EXPECT_EQ(newest_checkpoint(run_dir()).filename(), "step_000000");  // none of weights that are of no use
  const std::vector<Json> lines = metrics_in(run_dir());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1]["optim/skipped"], 1.0);
}

// The sampler kept on a copy of the start adapter: right in step 1, refused in step 2, by its digest and, where that is
// not known, by its log-probs.
TEST_F(TrainerTest, ASamplerOnAStaleCopyIsStoppedWithinAStep) {
  for (const bool has_digest : {true, false}) {
    const RunConfig config = rl_config(model_dir());
    Inputs inputs = load_inputs(config, plugin_dir());
    inputs.tasks = letters();
    Policy policy = load_policy(config, at::kCPU);
    const Adapter stale = policy.adapter->clone();
    policy.adapter->set_trainable(true);
    Adam optimizer(policy.adapter->parameters(), config.optimizer, 2e-2);
    Learner learner({.model = &policy.model,
                     .policy = policy.stack(),
                     .objective = config.objective,
                     .train = config.train,
                     .exact = true},
                    optimizer);
    RolloutSource source({.context = rollout_context(inputs, policy, 1),
                          .policy = {&stale},
                          .rollout = config.rollout,
                          .objective = config.objective,
                          .microbatch_tokens = 4096});
    for (int64_t step = 1; step <= 2; ++step) {
      SourceBatch batch = source.next(step);
      if (!has_digest) batch.train.policy_digest.clear();
      if (step == 1) {
        EXPECT_EQ(learner.step(batch.train).get("policy/max_abs_logprob_diff"), 0.0);
      } else {
        EXPECT_THROW(learner.step(batch.train), ExactnessError);
      }
    }
  }
}

TEST_F(TrainerTest, ExactnessIsTheCpusDefault) {
  RunConfig config = rl_config(model_dir());
  config.train.steps = 4;
  train(config, run_dir(), letters());
  for (const Json& line : metrics_in(run_dir())) EXPECT_EQ(line["policy/max_abs_logprob_diff"], 0.0);
}

TEST_F(TrainerTest, FailedRewardsAreToldAndTakeNoPart) {
  // exact_match refuses to match an empty reference.
  class NoReference : public Letters {
   public:
    using Letters::Letters;
    Task get(Split split, int64_t index) const override {
      Task task = Letters::get(split, index);
      if (index % 2 == 0) task.reference = "";
      return task;
    }
  };
  RunConfig config = rl_config(model_dir());
  config.train.steps = 1;
  config.rollout.max_failed = 0.5;
  const RunResult result = train(config, run_dir(), std::make_unique<NoReference>(references()));
  EXPECT_EQ(metrics_in(run_dir()).at(0)["reward/failed"], 96.0);
  EXPECT_EQ(metrics_in(run_dir()).at(0)["reward/failed/failed"], 96.0);
  EXPECT_EQ(metrics_in(run_dir()).at(0)["group/skipped_frac"], 0.5);
  EXPECT_THAT(result.printed, HasSubstr("warning: step 1: 96 rewards failed and take no part, the last one: failed: "
                                        "exact_match: the reference is empty"));
}

TEST_F(TrainerTest, TooManyFailedRewardsStopTheRunWithACheckpoint) {
  RunConfig config = rl_config(model_dir());
  config.train.steps = 20;
  config.rollout.max_failed = 0.2;
  config.rollout.failed_steps = 10;
  const std::string error = message_of<RewardFailureError>(
      [&] { train(config, run_dir(), std::make_unique<Letters>(std::vector<std::string>(6, ""))); });
  EXPECT_THAT(error, testing::StartsWith("after step 3: 576 rewards failed"));  // 2 of 10 steps are what is allowed
  EXPECT_THAT(error, HasSubstr("the reference is empty"));
  EXPECT_THAT(error, HasSubstr("step_000003"));
  EXPECT_EQ(metrics_in(run_dir()).size(), 3u);
}

TEST_F(TrainerTest, EvaluationWithoutRewardsIsRefusedBeforeTheFirstStep) {
  RunConfig config = sft_config(model_dir());
  config.rewards.clear();
  config.eval.every = 1;
  EXPECT_THAT(message_of<ConfigError>([&] { train(config, run_dir(), letters()); }),
              HasSubstr("evaluation needs rewards"));
}

}  // namespace
}  // namespace noregret
