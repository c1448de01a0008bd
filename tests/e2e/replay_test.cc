// A step of a run, computed again.
#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

using testing::HasSubstr;

ProcessResult replay(const WorkDir& folder, int step) {
  return run(folder.path(), {"replay", "run", "--step", std::to_string(step)});
}

class Replay : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Of, Replay, testing::Values("rl", "sft"), [](const auto& info) { return info.param; });

TEST_P(Replay, OfAnyStepIsIdenticalAndLeavesTheRunAlone) {
  const WorkDir folder;
  const std::string eval_every = GetParam() == "rl" ? "eval.every=3" : "eval.every=0";
  output_of(folder.path(), {"train", GetParam() + ".yaml", "--run-dir", "run", "--set", eval_every});
  const auto before = listing(folder.path());
  for (int step = 1; step <= 4; ++step) {
    const ProcessResult result = replay(folder, step);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, testing::Not(HasSubstr("warning"))) << "the run's own config is no change";
    EXPECT_THAT(result.out, testing::StartsWith(cat("step ", step, " is identical: metrics")));
    // The run saved after steps 2 and 4.
    EXPECT_EQ(result.out.find("optimizer.safetensors") != std::string::npos, step % 2 == 0);
    EXPECT_EQ(result.out.find("rollouts/") != std::string::npos, GetParam() == "rl");
  }
  EXPECT_EQ(listing(folder.path()), before);
}

TEST(ReplayOfAnotherRun, TakesTheLearningRateOfTheStep) {
  const WorkDir folder;
  output_of(folder.path(), {"train", "sft.yaml", "--run-dir", "run"});
  output_of(folder.path(), {"train", "sft.yaml", "--run-dir", "run", "--steps", "6", "--set", "optimizer.lr=1e-3"});
  for (const int step : {3, 6}) {
    const ProcessResult result = replay(folder, step);
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
}

TEST(ReplayOfAnotherRun, SaysWhatDiffers) {
  const WorkDir folder;
  output_of(folder.path(), {"train", "sft.yaml", "--run-dir", "run"});
  const std::string metrics = text_of(folder.path() / "run/metrics.jsonl");
  const Json line = json_lines(metrics).at(2);
  const std::string loss = "\"loss/value\":" + dump_json(line["loss/value"]);
  replace_in(folder.path() / "run/metrics.jsonl", loss, "\"loss/value\":0.125");
  const ProcessResult result = replay(folder, 3);
  EXPECT_EQ(result.exit_code, 70);
  EXPECT_THAT(result.err, HasSubstr("step 3 came out differently: loss/value was 0.125, is "));
}

TEST(ReplayOfAnotherRun, WithOtherInputsIsRefused) {
  const WorkDir folder;
  output_of(folder.path(), {"train", "sft.yaml", "--run-dir", "run"});
  append_to(folder.path() / "rows.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n");
  const ProcessResult result = replay(folder, 3);
  EXPECT_EQ(result.exit_code, 78);
  EXPECT_THAT(result.err, HasSubstr("these differ: sha256_data"));
}

TEST(ReplayOfNothing, IsABadInput) {
  const WorkDir folder;
  output_of(folder.path(), {"train", "sft.yaml", "--run-dir", "run"});
  EXPECT_EQ(run(folder.path(), {"replay", "model", "--step", "1"}).exit_code, 65);
  const ProcessResult result = replay(folder, 9);
  EXPECT_EQ(result.exit_code, 65);
  EXPECT_THAT(result.err, HasSubstr("metrics.jsonl: holds no step 9; the last one is 4"));
  EXPECT_EQ(run(folder.path(), {"replay", "run"}).exit_code, 64);
}

}  // namespace
}  // namespace noregret::e2e
