#include "noregret/base/error.h"
#include "tests/run/run_support.h"

namespace noregret {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Each test compares a run that was stopped with one that was not.
class TrainerResumeTest : public RunTest {
 protected:
  void expect_same_when_split(RunConfig config) {
    config.train.steps = 6;
    train(config, run_dir("whole"), letters());
    config.train.steps = 3;
    train(config, run_dir("split"), letters());
    EXPECT_EQ(newest_checkpoint(run_dir("split")).filename(), "step_000003");
    config.train.steps = 6;
    const RunResult second = train(config, run_dir("split"), letters());
    EXPECT_THAT(second.printed, HasSubstr("going on after step 3 from "));
    EXPECT_EQ(results_of(run_dir("split")), results_of(run_dir("whole")));
  }

  // Stops after `num_calls` problems were asked for, and goes on. Returns the checkpoint that was written.
  std::string expect_same_when_stopped(const RunConfig& config, int64_t num_calls) {
    train(config, run_dir("whole"), letters());
    const RunResult first = train(config, run_dir("stopped"), letters(num_calls));
    EXPECT_THAT(first.interruption, HasSubstr("stopped by signal 15 after step "));
    const std::string checkpoint = newest_checkpoint(run_dir("stopped")).filename().string();
    EXPECT_THAT(first.interruption, HasSubstr("checkpoints/" + checkpoint));
    const RunResult second = train(config, run_dir("stopped"), letters());
    EXPECT_THAT(second.interruption, IsEmpty());
    EXPECT_EQ(second.summary.steps, config.train.steps);
    EXPECT_EQ(results_of(run_dir("stopped")), results_of(run_dir("whole")));
    return checkpoint;
  }

  RunConfig short_rl() const {
    RunConfig config = rl_config(model_dir());
    config.train.steps = 4;
    config.rollout.group_size = 8;
    return config;
  }
};

TEST_F(TrainerResumeTest, SftInTwoHalvesIsTheSame) {
  RunConfig config = sft_config(model_dir());
  config.eval.every = 3;
  expect_same_when_split(config);
}

TEST_F(TrainerResumeTest, SftOfAllWeightsInTwoHalvesIsTheSame) {
  RunConfig config = sft_config(model_dir());
  config.adapter.reset();
  expect_same_when_split(config);
}

TEST_F(TrainerResumeTest, RlInTwoHalvesIsTheSame) {
  RunConfig config = rl_config(model_dir());
  config.objective.kl_coef = 0.01;
  expect_same_when_split(config);
}

TEST_F(TrainerResumeTest, RlFromAStartAdapterInTwoHalvesKeepsTheReference) {
  train(sft_config(model_dir()), run_dir("sft"), letters());
  RunConfig config = rl_config(model_dir());
  config.rollout.group_size = 8;
  config.adapter->init_from = run_dir("sft").string();
  config.objective.kl_coef = 0.1;
  expect_same_when_split(config);
}

TEST_F(TrainerResumeTest, AStopWhileSamplingIsTheSame) {
  const RunConfig config = short_rl();
  // Six prompts a step: the signal comes with the second prompt of step 3.
  EXPECT_EQ(expect_same_when_stopped(config, 2 * 6 + 2), "step_000002");
}

TEST_F(TrainerResumeTest, AStopInTheFirstStepIsTheSame) {
  EXPECT_EQ(expect_same_when_stopped(short_rl(), 1), "step_000000");
}

TEST_F(TrainerResumeTest, AStopInAnEvaluationIsTheSame) {
  RunConfig config = short_rl();
  config.eval.every = 2;
  // Six held-out problems before step 1, twelve prompts of two steps, and the evaluation after step 2.
  EXPECT_EQ(expect_same_when_stopped(config, 6 + 12 + 3), "step_000002");
}

TEST_F(TrainerResumeTest, AStopInTheFirstEvaluationIsTheSame) {
  RunConfig config = short_rl();
  config.eval.every = 2;
  EXPECT_EQ(expect_same_when_stopped(config, 3), "step_000000");
}

TEST_F(TrainerResumeTest, AStopInTheLastEvaluationIsTheSame) {
  RunConfig config = short_rl();
  config.eval.every = 4;
  config.train.keep_last = 1;
  EXPECT_EQ(expect_same_when_stopped(config, 6 + 24 + 1), "step_000004");
}

TEST_F(TrainerResumeTest, AStopBeforeAnUpdateDropsTheStep) {
  RunConfig config = sft_config(model_dir());
  // Four demonstrations a step, read before the update of step 2.
  EXPECT_EQ(expect_same_when_stopped(config, 4 + 2), "step_000001");
}

TEST_F(TrainerResumeTest, AStopOfTheSecondProcessIsTheSame) {
  RunConfig config = short_rl();
  config.eval.every = 2;
  train(config, run_dir("whole"), letters());
  train(config, run_dir("stopped"), letters(6 + 12 + 3));
  const RunResult again = train(config, run_dir("stopped"), letters(1));  // in the same evaluation
  EXPECT_THAT(again.interruption, HasSubstr("after step 2"));
  train(config, run_dir("stopped"), letters());
  EXPECT_EQ(results_of(run_dir("stopped")), results_of(run_dir("whole")));
}

TEST_F(TrainerResumeTest, ADamagedCheckpointCostsItsStepsOnly) {
  RunConfig config = short_rl();
  config.train.save_every = 1;
  train(config, run_dir("whole"), letters());
  config.train.steps = 3;
  train(config, run_dir("hurt"), letters());
  fs::resize_file(newest_checkpoint(run_dir("hurt")) / "optimizer.safetensors", 100);
  config.train.steps = 4;
  const RunResult second = train(config, run_dir("hurt"), letters());
  EXPECT_THAT(second.printed, HasSubstr("going on after step 2 from "));
  EXPECT_EQ(results_of(run_dir("hurt")), results_of(run_dir("whole")));
}

TEST_F(TrainerResumeTest, AFinishedRunHasNothingToDo) {
  const RunConfig config = sft_config(model_dir());
  train(config, run_dir(), letters());
  const std::vector<std::string> results = results_of(run_dir());
  const RunResult again = train(config, run_dir(), letters());
  EXPECT_EQ(again.summary.steps, config.train.steps);
  EXPECT_EQ(results_of(run_dir()), results);
}

}  // namespace
}  // namespace noregret
