// Runs as processes: deterministic, stoppable at any moment, and never left in a bad state.
#include <cmath>
#include <numeric>

#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

constexpr int kStopped = 75;
constexpr int kDiverged = 76;

std::vector<std::string> train(const std::string& config, const std::string& run,
                               const std::vector<std::string>& more = {}) {
  return std::vector<std::string>{"train", config, "--run-dir", run} + more;
}

std::vector<std::string> with(const std::vector<std::string>& assignments) {
  std::vector<std::string> args;
  for (const std::string& assignment : assignments)
    args = std::move(args) + std::vector<std::string>{"--set", assignment};
  return args;
}

std::string metrics(const WorkDir& folder, const std::string& run) {
  return text_of(folder.path() / run / "metrics.jsonl");
}

fs::path latest_checkpoint(const WorkDir& folder, const std::string& run) {
  const std::string line = text_of(folder.path() / run / "LATEST");
  return folder.path() / run / "checkpoints" / line.substr(0, line.find(' '));
}

// The hash of a file of the newest checkpoint.
std::string weights(const WorkDir& folder, const std::string& run,
                    const std::string& file = "adapter_model.safetensors") {
  return sha256_file(latest_checkpoint(folder, run) / file);
}

std::vector<double> column(const std::string& metrics, const std::string& name) {
  std::vector<double> values;
  for (const Json& line : json_lines(metrics)) {
    if (line.contains(name)) values.push_back(line[name].get<double>());
  }
  return values;
}

bool all_finite_in(const fs::path& file) {
  for (const Weights& weights : read_weights(file)) {
    for (const float value : weights.values) {
      if (!std::isfinite(value)) return false;
    }
  }
  return true;
}

class Mode : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Of, Mode, testing::Values("rl", "sft"), [](const auto& info) { return info.param; });

TEST_P(Mode, SameSeedGivesTheSameMetricsAndWeightsByteForByte) {
  const WorkDir folder;
  const std::string config = GetParam() + ".yaml";
  const std::vector<ProcessResult> results =
      run_all({noregret(folder.path(), train(config, "a")), noregret(folder.path(), train(config, "b")),
               noregret(folder.path(), train(config, "c", with({"seed=4"})))});
  for (const ProcessResult& result : results) {
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "");
  }
  ASSERT_EQ(json_lines(metrics(folder, "a")).size(), 4U);
  EXPECT_EQ(metrics(folder, "a"), metrics(folder, "b"));
  EXPECT_EQ(weights(folder, "a"), weights(folder, "b"));
  EXPECT_NE(metrics(folder, "a"), metrics(folder, "c"));
}

TEST_P(Mode, TheAdapterMovesAndTheNormsSaySo) {
  const WorkDir folder;
  output_of(folder.path(), train(GetParam() + ".yaml", "run"));
  const std::vector<double> norm_b = column(metrics(folder, "run"), "adapter/norm_b");
  ASSERT_EQ(norm_b.size(), 4U);
  EXPECT_GT(norm_b[0], 0.0);
  EXPECT_NE(norm_b[0], norm_b[3]);
}

TEST_P(Mode, StepsIsTheTotalAlsoWhenTheRunGoesOn) {
  const WorkDir folder;
  const std::string config = GetParam() + ".yaml";
  output_of(folder.path(), train(config, "whole"));
  output_of(folder.path(), train(config, "parts", {"--steps", "1"}));
  EXPECT_EQ(json_lines(metrics(folder, "parts")).size(), 1U);
  output_of(folder.path(), train(config, "parts", {"--steps", "3", "--resume", "required"}));
  output_of(folder.path(), train(config, "parts", {"--steps", "4"}));
  output_of(folder.path(), train(config, "parts", {"--steps", "2"}));  // done already: changes nothing
  EXPECT_EQ(metrics(folder, "parts"), metrics(folder, "whole"));
  EXPECT_EQ(weights(folder, "parts"), weights(folder, "whole"));
  EXPECT_EQ(weights(folder, "parts", "optimizer.safetensors"), weights(folder, "whole", "optimizer.safetensors"));
}

struct Stop {
  std::string mode;
  int signal;
  std::string eval_every;
  const char* name;
};

class Stopped : public testing::TestWithParam<Stop> {};
INSTANTIATE_TEST_SUITE_P(By, Stopped,
                         testing::Values(Stop{"rl", SIGTERM, "20", "SigtermInRl"},
                                         Stop{"rl", SIGINT, "20", "SigintInRl"},
                                         Stop{"sft", SIGTERM, "0", "SigtermInSft"},
                                         Stop{"sft", SIGINT, "0", "SigintInSft"}),
                         [](const auto& info) { return info.param.name; });

TEST_P(Stopped, WritesACheckpointAndTheSameCommandEndsAsIfNeverStopped) {
  const WorkDir folder;
  // Enough steps that the signal meets a run in the middle: one takes 10 ms and more.
  const std::vector<std::string> more = with(
      {"train.steps=60", "train.save_every=25", "rollout.max_new_tokens=4", "eval.every=" + GetParam().eval_every});
  const std::vector<std::string> args = train(GetParam().mode + ".yaml", "run", more);
  std::vector<std::string> whole_args = args;
  std::replace(whole_args.begin(), whole_args.end(), std::string("run"), std::string("whole"));
  Process whole(noregret(folder.path(), whole_args));
  Process stopped(noregret(folder.path(), args));
  ASSERT_TRUE(stopped.wait_for_error_text("step 3/"));
  stopped.send(GetParam().signal);
  const ProcessResult result = stopped.wait();
  ASSERT_EQ(result.exit_code, kStopped) << result.err;
  const std::string last = lines_of(result.err).back();
  EXPECT_THAT(last, testing::StartsWith(cat("noregret: stopped by signal ", GetParam().signal, " after step ")));
  EXPECT_THAT(last, testing::HasSubstr("the same command goes on from there"));
  const fs::path checkpoint = latest_checkpoint(folder, "run");
  EXPECT_NO_THROW(verify_dir(checkpoint));
  EXPECT_LT(json_lines(metrics(folder, "run")).size(), 60U) << "the signal came too late to test anything";

  const ProcessResult resumed = run(folder.path(), args);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, testing::HasSubstr("going on after step "));
  ASSERT_EQ(whole.wait().exit_code, 0);
  EXPECT_EQ(metrics(folder, "run"), metrics(folder, "whole"));
  EXPECT_EQ(weights(folder, "run"), weights(folder, "whole"));
}

TEST(KilledRun, GoesOnFromItsLastCheckpointAsIfNeverKilled) {
  const WorkDir folder;
  const std::vector<std::string> more = with({"train.steps=60", "train.save_every=7"});
  Process whole(noregret(folder.path(), train("rl.yaml", "whole", more)));
  Process killed(noregret(folder.path(), train("rl.yaml", "run", more)));
  ASSERT_TRUE(killed.wait_for_error_text("step 17/"));
  killed.send(SIGKILL);
  ASSERT_EQ(killed.wait().signal, SIGKILL);
  output_of(folder.path(), train("rl.yaml", "run", more));
  ASSERT_EQ(whole.wait().exit_code, 0);
  EXPECT_EQ(metrics(folder, "run"), metrics(folder, "whole"));
  EXPECT_EQ(weights(folder, "run"), weights(folder, "whole"));
}

TEST(DamagedCheckpoint, IsReportedAndTheOneBeforeItIsTaken) {
  const WorkDir folder;
  output_of(folder.path(), train("sft.yaml", "run"));
  const std::string whole = metrics(folder, "run");
  fs::resize_file(folder.path() / "run/checkpoints/step_000004/optimizer.safetensors", 100);
  const ProcessResult result = run(folder.path(), train("sft.yaml", "run"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("warning: "));
  EXPECT_THAT(result.err, testing::HasSubstr("going on after step 2 "));
  EXPECT_EQ(metrics(folder, "run"), whole);
}

TEST(Rl, KeepsEveryCompletionWithItsReward) {
  const WorkDir folder;
  output_of(folder.path(), train("rl.yaml", "run"));
  const std::vector<Json> groups = json_lines(text_of(folder.path() / "run/rollouts/step_000004.jsonl"));
  ASSERT_EQ(groups.size(), 4U);
  double sum = 0.0;
  for (const Json& group : groups) {
    ASSERT_EQ(group["samples"].size(), 4U);
    for (const Json& sample : group["samples"]) sum += sample["reward"].get<double>();
  }
  EXPECT_NEAR(sum / 16, column(metrics(folder, "run"), "reward/mean").back(), 1e-9);  // f64 sums in another order
}

TEST(Rl, TheLearnerFindsTheSamplersLogprobs) {
  const WorkDir folder;
  output_of(folder.path(),
            train("rl.yaml", "run",
                  with({"rollout.temperature=0.7", "rollout.max_new_tokens=6", "train.microbatch_tokens=16"})));
  for (const double gap : column(metrics(folder, "run"), "policy/max_abs_logprob_diff")) {
    EXPECT_LE(gap, 1e-4);  // f32 sums in another order; a wrong temperature or position moves it by 0.01 and more
  }
}

TEST(Rl, StartsFromAnSftRunsAdapter) {
  const WorkDir folder;
  output_of(folder.path(), train("sft.yaml", "sft"));
  output_of(folder.path(), train("rl.yaml", "none", with({"adapter.init_from=sft", "train.steps=0"})));
  EXPECT_EQ(weights(folder, "none"), weights(folder, "sft"));
  const std::string before = text_of(folder.path() / "sft/LATEST");
  output_of(folder.path(), train("rl.yaml", "rl", with({"adapter.init_from=sft", "objective.kl_coef=0.1"})));
  EXPECT_NE(weights(folder, "rl"), weights(folder, "sft"));
  EXPECT_EQ(text_of(folder.path() / "sft/LATEST"), before);
}

TEST(FullFineTuning, ChangesTheModelAndItsCheckpointIsAModelFolder) {
  const WorkDir folder;
  for (const std::string mode : {"sft", "rl"}) {
    output_of(folder.path(), train(mode + ".yaml", mode, with({"adapter=none", "optimizer.lr=1e-3"})));
    const fs::path checkpoint = latest_checkpoint(folder, mode);
    EXPECT_NE(weights(folder, mode, "model.safetensors"), sha256_file(folder.path() / "model/model.safetensors"));
    const std::string lines = text_of(folder.path() / "texts.jsonl");
    EXPECT_EQ(output_of(folder.path(), {"score", checkpoint.string(), "--input", "-"}, lines),
              output_of(folder.path(), {"score", "model", "--adapter", mode, "--input", "-"}, lines));
  }
}

TEST(FullFineTuning, GoesOnAsIfNeverStopped) {
  const WorkDir folder;
  const std::vector<std::string> full = with({"adapter=none", "optimizer.lr=1e-3"});
  output_of(folder.path(), train("rl.yaml", "whole", full));
  output_of(folder.path(), train("rl.yaml", "parts", full + std::vector<std::string>{"--steps", "2"}));
  output_of(folder.path(), train("rl.yaml", "parts", full));
  EXPECT_EQ(metrics(folder, "parts"), metrics(folder, "whole"));
  EXPECT_EQ(weights(folder, "parts", "model.safetensors"), weights(folder, "whole", "model.safetensors"));
}

// A step of 1e30 leaves weights that are finite and of no use: no log-prob is finite from then on.
TEST_P(Mode, ALearningRateThatExplodesEndsAsDivergedAndKeepsAGoodCheckpoint) {
  const WorkDir folder;
  const std::string config = GetParam() + ".yaml";
  output_of(folder.path(), train(config, "run", {"--steps", "1"}));
  const std::string good = weights(folder, "run");
  const ProcessResult result =
      run(folder.path(), train(config, "run",
                               with({"optimizer.lr=1e30", "train.steps=30", "train.save_every=1"}) +
                                   std::vector<std::string>{"--allow", "optimizer.lr"}));
  EXPECT_EQ(result.exit_code, kDiverged) << result.err;
  EXPECT_THAT(lines_of(result.err).back(), testing::HasSubstr("lower optimizer.lr"));
  EXPECT_EQ(sha256_file(folder.path() / "run/checkpoints/step_000001/adapter_model.safetensors"), good)
      << "checkpoints without worth have rotated the last good one away";
  for (const auto& checkpoint : fs::directory_iterator(folder.path() / "run/checkpoints")) {
    EXPECT_NO_THROW(verify_dir(checkpoint.path()));
    EXPECT_TRUE(all_finite_in(checkpoint.path() / "adapter_model.safetensors"));
    EXPECT_TRUE(all_finite_in(checkpoint.path() / "optimizer.safetensors"));
  }
  // The learning rate put right, the run goes on.
  const ProcessResult mended = run(folder.path(), train(config, "run", {"--steps", "2"}));
  EXPECT_EQ(mended.exit_code, 0) << mended.err;
  for (const std::vector<double>& logprobs :
       logprobs_of(output_of(folder.path(), {"score", "model", "--adapter", "run", "--input", "texts.jsonl"}))) {
    for (const double logprob : logprobs) EXPECT_TRUE(std::isfinite(logprob));
  }
}

// The second process of a run finds it locked by a live one, and does not disturb it.
TEST(TwoProcesses, DoNotTrainIntoOneRun) {
  const WorkDir folder;
  const std::vector<std::string> args = train("rl.yaml", "run", with({"train.steps=80"}));
  Process first(noregret(folder.path(), args));
  ASSERT_TRUE(first.wait_for_error_text("step 1/"));
  const ProcessResult second = run(folder.path(), args);
  EXPECT_EQ(second.exit_code, 74);
  EXPECT_THAT(second.err, testing::HasSubstr(cat("held by process ", first.pid())));
  const ProcessResult result = first.wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(json_lines(metrics(folder, "run")).size(), 80U);
}

TEST(Flags, TakeSeveralValuesInEitherWay) {
  const WorkDir folder;
  output_of(folder.path(), {"train", "--set", "train.steps=1", "optimizer.lr=1e-3", "--run-dir", "run", "sft.yaml"});
  output_of(folder.path(),
            {"train", "--set", "train.steps=1", "--set", "optimizer.lr=1e-3", "sft.yaml", "--run-dir", "run"});
  EXPECT_EQ(column(metrics(folder, "run"), "optim/lr"), std::vector<double>{1e-3});
}

}  // namespace
}  // namespace noregret::e2e
