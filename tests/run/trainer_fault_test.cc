// What a run does when the disk is full, memory runs out, or its weights become useless.
#include <new>

#include "noregret/base/error.h"
#include "tests/run/io_faults.h"
#include "tests/run/run_dir_support.h"
#include "tests/run/run_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class TrainerFault : public RunTest {
 protected:
  // Four problems a step.
  static RunConfig sft() {
    RunConfig config = sft_config(model_dir());
    config.train.save_every = 1;
    return config;
  }
  void TearDown() override { disarm_fault(); }
};

// --- The disk

// Saves are due after steps 3 and 6, so that none is under way when the disk fills up in step 2.
TEST_F(TrainerFault, AFullDiskCostsCheckpointsAndNotTheRun) {
  RunConfig config = sft();
  config.train.save_every = 3;
  train(config, run_dir("whole"), letters());
  const RunResult result = train(config, run_dir(), letters_with([](int64_t call) {
                                   if (call == 4 * 1 + 1) arm_fault(Fault::kDiskFull, 1);  // in step 2
                                   if (call == 4 * 3 + 1) disarm_fault();                  // in step 4
                                 }));
  for (const int step : {2, 3})
    EXPECT_THAT(result.printed, HasSubstr(cat("warning: step ", step, ": metrics wait to be written: ")));
  EXPECT_THAT(result.printed, HasSubstr("warning: step 3: no checkpoint: "));
  EXPECT_THAT(result.printed, AllOf(HasSubstr("No space left on device"), HasSubstr("step_000000")));
  EXPECT_THAT(result.printed, Not(HasSubstr("warning: step 4")));
  EXPECT_EQ(results_of(run_dir()), results_of(run_dir("whole")));
  EXPECT_THAT(text_of(run_dir() / "timing.jsonl"), HasSubstr("\"log/failed_saves\":1.0"));
}

TEST_F(TrainerFault, AFullDiskAtTheEndIsAnErrorAndTheCheckpointBeforeStays) {
  RunConfig config = sft();
  config.train.save_every = 3;
  const std::string error = message_of<IoError>([&] {
    train(config, run_dir(), letters_with([](int64_t call) {
            if (call == 4 * 1 + 1) arm_fault(Fault::kDiskFull, 1);  // in step 2 of 6
          }));
  });
  disarm_fault();
  EXPECT_THAT(error, HasSubstr("No space left on device"));
  EXPECT_EQ(newest_checkpoint(run_dir()).filename(), "step_000000");
  train(config, run_dir("whole"), letters());
  train(config, run_dir(), letters());
  EXPECT_EQ(results_of(run_dir()), results_of(run_dir("whole")));
}

TEST_F(TrainerFault, ADiskThatTakesNoCheckpointIsFoundOutBeforeTheFirstStep) {
  int64_t num_calls = 0;
  const std::string error = message_of<IoError>([&] {
    train(sft(), run_dir(), [&]() -> std::unique_ptr<TaskSource> {
      arm_fault(Fault::kErrorForEver, 60);  // the run directory is made, then nothing works
      return letters_with([&](int64_t) { ++num_calls; });
    }());
  });
  EXPECT_THAT(error, HasSubstr("Input/output error"));
  EXPECT_EQ(num_calls, 0);
}

TEST(RunDirSpace, TooLittleIsAnErrorThatSaysHowMuchIsWanted) {
  const ScratchDir dir;
  RunDir run(run_setup(dir.path() / "run"));
  EXPECT_NO_THROW(run.check_space({{"weights", std::string(1000, 'w')}}, {.keep_last = 3}));
  const auto free = static_cast<int64_t>(fs::space(dir.path()).available);
  const Retention more_than_fits = {.keep_last = free / 1000000};
  EXPECT_THAT(message_of<IoError>([&] {
                run.check_space({{"weights", std::string(1200000, 'w')}}, more_than_fits);
              }),
              AllOf(HasSubstr(" GB free on this disk, want "), HasSubstr("lower train.keep_last")));
}

// --- Which checkpoints stay

TEST_F(TrainerFault, MilestonesAndTheBestStay) {
  RunConfig config = sft_config(model_dir());
  config.train.steps = 9;
  config.train.save_every = 1;
  config.train.keep_last = 1;
  config.train.keep_every = 4;
  config.train.keep_best = 1;
  config.eval.every = 3;
  train(config, run_dir(), letters());
  std::vector<std::string> want = {"step_000000", "step_000004", "step_000008", "step_000009"};
  double best = -1.0;
  std::string best_name;
  for (const Json& line : metrics_in(run_dir())) {
    if (!line.contains("eval/greedy/avg") || line["step"] == 0 || line["eval/greedy/avg"] < best) continue;
    best = line["eval/greedy/avg"];
    best_name = cat("step_00000", line["step"].get<int64_t>());
  }
  if (std::find(want.begin(), want.end(), best_name) == want.end()) want.push_back(best_name);
  std::sort(want.begin(), want.end());
  EXPECT_EQ(names_in(run_dir() / "checkpoints"), want);
}

TEST(RunDirRetention, TheBestOfEqualsIsTheNewest) {
  const ScratchDir dir;
  RunDir run(run_setup(dir.path() / "run"));
  const std::vector<double> scores = {0.5, 0.9, 0.9, 0.1, 0.2};
  for (size_t i = 0; i < scores.size(); ++i) {
    run.save(static_cast<int64_t>(i), {{"weights", "w"}}, {{"score", scores[i]}}, {.keep_last = 1, .keep_best = 1});
  }
  EXPECT_THAT(names_in(dir.path() / "run/checkpoints"), ElementsAre("step_000002", "step_000004"));
}

// --- Weights of no use

TEST_F(TrainerFault, UselessWeightsAreNeverSavedAndPushNoGoodOnesOut) {
  RunConfig config = sft_config(model_dir());
  config.train.steps = 2;
  config.train.save_every = 1;
  train(config, run_dir(), letters());
  config.optimizer.lr = "1e30";
  config.train.steps = 20;
  config.train.keep_last = 1;
  const std::string error = message_of<DivergedError>([&] { train(config, run_dir(), letters()); });
  EXPECT_THAT(error, AllOf(HasSubstr("times the recipe's"), HasSubstr("set optimizer.lr: auto"),
                           HasSubstr("the newest checkpoint: "), HasSubstr("step_000002")));
  EXPECT_EQ(newest_checkpoint(run_dir()).filename(), "step_000002");
}

TEST_F(TrainerFault, UselessWeightsAtTheEndAreDivergenceToo) {
  RunConfig config = sft_config(model_dir());
  config.optimizer.lr = "1e30";
  config.train.steps = 1;
  EXPECT_THAT(message_of<DivergedError>([&] { train(config, run_dir(), letters()); }),
              HasSubstr("after step 1 no log-prob is finite"));
  EXPECT_THAT(names_in(run_dir() / "checkpoints"), ElementsAre("step_000000"));
}

TEST_F(TrainerFault, UselessWeightsInRlAreDivergenceAlsoInTheFirstStepOfAProcess) {
  RunConfig config = rl_config(model_dir());
  config.rollout.group_size = 8;
  config.optimizer.lr = "1e30";
  EXPECT_THAT(message_of<DivergedError>([&] { train(config, run_dir(), letters()); }), HasSubstr("step_000000"));
  EXPECT_THAT(message_of<DivergedError>([&] { train(config, run_dir(), letters()); }), HasSubstr("step_000000"));
}

// --- Memory

TEST_F(TrainerFault, MemoryThatRunsOutInARolloutCostsNoSample) {
  RunConfig config = rl_config(model_dir());
  config.rollout.group_size = 8;
  config.train.steps = 3;
  train(config, run_dir("whole"), letters());
  const RunResult result = train(config, run_dir(), letters_with([](int64_t call) {
                                   if (call == 6 + 2 || call == 6 + 4) throw std::bad_alloc();
                                 }));
  EXPECT_THAT(result.printed, HasSubstr("warning: step 2: out of memory; once more, and from now on, with "
                                        "train.microbatch_tokens 2048 and rollout.max_batch 24"));
  EXPECT_EQ(results_of(run_dir()), results_of(run_dir("whole")));
}

TEST_F(TrainerFault, SizesThatNoMemoryHoldsAreCutBeforeTheFirstStep) {
  RunConfig config = rl_config(model_dir());
  config.train.steps = 1;
  config.train.microbatch_tokens = int64_t{1} << 40;
  const RunResult result = train(config, run_dir(), letters());
  EXPECT_THAT(result.printed,
              HasSubstr("too few for rollout.max_batch 96 and train.microbatch_tokens 1099511627776; taken: 96 and "));
  EXPECT_THAT(result.printed, AllOf(HasSubstr("memory about "), HasSubstr(" GB at the peak ("), HasSubstr(" GB free")));
  EXPECT_EQ(newest_checkpoint(run_dir()).filename(), "step_000001");
}

TEST_F(TrainerFault, MemoryThatRunsOutForGoodIsACleanStop) {
  const std::string error = message_of<Error>([&] {
    train(sft(), run_dir(), letters_with([](int64_t call) {
            if (call > 8) throw std::bad_alloc();
          }));
  });
  EXPECT_THAT(error, AllOf(HasSubstr("out of memory in step 3 with train.microbatch_tokens 1 and rollout.max_batch 1"),
                           HasSubstr("step_000002")));
  EXPECT_EQ(newest_checkpoint(run_dir()).filename(), "step_000002");
}

// --- Signals

TEST_F(TrainerFault, SigusrSavesAndGoesOn) {
  RunConfig config = sft_config(model_dir());
  train(config, run_dir("whole"), letters());
  bool was_saved = false;
  const RunResult result = train(config, run_dir(), letters_with([&](int64_t call) {
                                   if (call == 9) std::raise(SIGUSR1);
                                   if (call == 13) was_saved = fs::exists(run_dir() / "checkpoints/step_000002");
                                 }));
  EXPECT_TRUE(was_saved);
  EXPECT_THAT(result.printed, HasSubstr("SIGUSR1: the newest checkpoint: "));
  EXPECT_EQ(results_of(run_dir()), results_of(run_dir("whole")));
}

// --- Another learning rate

TEST_F(TrainerFault, AnotherLearningRateIsTakenAndTold) {
  RunConfig config = sft_config(model_dir());
  config.train.steps = 2;
  train(config, run_dir(), letters());
  config.train.steps = 3;
  config.optimizer.lr = "5e-3";
  const RunResult result = train(config, run_dir(), letters());
  EXPECT_THAT(result.printed, HasSubstr("the learning rate was 0.01, is 0.005 from step 3 on"));
  EXPECT_EQ(metrics_in(run_dir()).back()["optim/lr"], 0.005);
}

}  // namespace
}  // namespace noregret
