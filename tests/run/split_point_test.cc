// A run that stops after any step and goes on is the run that never stopped, bit for bit.
#include "tests/run/run_support.h"

namespace noregret {
namespace {

using testing::HasSubstr;

// As Letters, but with an end: ten problems, so that four a step do not divide an epoch.
class TenLetters : public Letters {
 public:
  using Letters::Letters;
  int64_t size(Split split) const override { return split == Split::kTrain ? 10 : kNumLetters; }
};

struct Case {
  const char* name;
  bool is_rl;
  bool is_full;
};

class SplitPoint : public RunTest, public testing::WithParamInterface<Case> {
 protected:
  static constexpr int64_t kSteps = 6;

  RunConfig config() const {
    RunConfig config = GetParam().is_rl ? rl_config(model_dir()) : sft_config(model_dir());
    config.train.steps = kSteps;
    config.train.microbatch_tokens = 12;  // several microbatches a step
    config.eval.every = 4;
    if (GetParam().is_rl) {
      config.objective.name = "ppo";
      config.train.updates_per_batch = 2;
      config.rollout.groups = 4;
      config.rollout.group_size = 8;
      config.rollout.max_batch = 16;
    }
    if (GetParam().is_full) {
      config.adapter.reset();
      config.optimizer.lr = "1e-3";
    }
    return config;
  }

  std::unique_ptr<TaskSource> ten_letters() const { return std::make_unique<TenLetters>(references()); }

  // Rollouts of every step too.
  std::vector<std::string> all_of(const fs::path& run) const {
    std::vector<std::string> results = results_of(run);
    for (int64_t step = 1; step <= kSteps && GetParam().is_rl; ++step)
      results.push_back(text_of(run / "rollouts" / cat("step_00000", step, ".jsonl")));
    return results;
  }
};

INSTANTIATE_TEST_SUITE_P(Of, SplitPoint,
                         testing::Values(Case{"SftLora", false, false}, Case{"SftFull", false, true},
                                         Case{"RlLora", true, false}, Case{"RlFull", true, true}),
                         [](const auto& info) { return info.param.name; });

TEST_P(SplitPoint, AfterAnyStepIsTheUninterruptedRun) {
  train(config(), run_dir("whole"), ten_letters());
  const std::vector<std::string> whole = all_of(run_dir("whole"));
  for (int64_t k = 0; k < kSteps; ++k) {
    const fs::path split = run_dir(cat("split", k));
    RunConfig first = config();
    first.train.steps = k;  // ends with an evaluation that the whole run does not have
    train(first, split, ten_letters());
    const RunResult second = train(config(), split, ten_letters());
    EXPECT_THAT(second.printed, HasSubstr(cat("going on after step ", k, " from ")));
    EXPECT_EQ(all_of(split), whole) << "split after step " << k;
  }
}

}  // namespace
}  // namespace noregret
