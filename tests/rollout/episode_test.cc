#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/rollout/batch_source.h"
#include "tests/rollout/tiny_model.h"

namespace noregret {
namespace {

using testing::HasSubstr;

// Says "x" until the policy had so many turns; the score is the number of turns through ten.
struct Script {
  int64_t num_turns = 3;
  std::string fault = "";  // of turn 2
  int64_t num_parallel = 0;
};

class Scripted : public Episode {
 public:
  explicit Scripted(const Script& script) : script_(script) {}
  StepResult step(const Turn& turn) override {
    ++turn_;
    seen_ += static_cast<double>(turn.text.size());
    StepResult result;
    result.score = static_cast<double>(turn_) / 10.0;
    result.parts = {{"turns", static_cast<double>(turn_)}};
    result.is_terminated = turn_ == script_.num_turns;
    if (!result.is_terminated) result.messages = {{"user", "x"}};
    if (turn_ == 2) strike(result);
    return result;
  }

 private:
  void strike(StepResult& result) const {
    if (script_.fault == "throw") throw std::runtime_error("it broke");
    if (script_.fault == "timeout") throw EnvError(EnvFault::kTimeout, "no answer within 1 s");
    if (script_.fault == "nan") result.score = std::nan("");
    if (script_.fault == "range") result.score = 1.5;
    if (script_.fault == "part") result.parts[0].second = INFINITY;
    if (script_.fault == "silent") result.messages.clear();
    if (script_.fault == "role") result.messages = {{"wizard", "x"}};
    if (script_.fault == "empty") result.messages = {{"user", ""}};
  }
  Script script_;
  int64_t turn_ = 0;
  double seen_ = 0.0;
};

class ScriptedTasks : public TaskSource {
 public:
  explicit ScriptedTasks(Script script) : script_(std::move(script)) {}
  int64_t size(Split) const override { return kEndless; }
  Task get(Split, int64_t index) const override {
    Task task;
    task.id = cat("scripted/", index);
    task.messages = {{"user", std::string(1, static_cast<char>('a' + index % 26))}};
    return task;
  }
  std::string digest() const override { return ""; }
  std::unique_ptr<Episode> start(const Task&) const override { return std::make_unique<Scripted>(script_); }
  int64_t num_parallel_steps() const override { return script_.num_parallel; }

 private:
  Script script_;
};

class EpisodeTest : public testing::Test {
 protected:
  EpisodeTest()
      : tokenizer_(Tokenizer::load(fs::path(NOREGRET_SOURCE_DIR) / "configs/quickstart/base")),
        chat_(ChatTemplate::pick("none", tokenizer_)),
        model_(tiny_model(258, 128)),
        rubric_({task_reward()}, fs::path(NOREGRET_BUILD_DIR) / "rewards") {}

  static RewardOptions task_reward() {
    RewardOptions options;
    options.plugin = "task";
    return options;
  }

  std::vector<TrajectoryGroup> roll(const Script& script, int64_t max_new_tokens = 100, int64_t max_batch = 16) const {
    const ScriptedTasks tasks(script);
    const RolloutContext context{&model_, &tokenizer_, &chat_, &tasks, &rubric_, 1};
    RolloutRequest request;
    request.step = 1;
    request.task_indices = {0, 1, 2};
    request.group_size = 8;
    request.generate.max_new_tokens = max_new_tokens;
    request.generate.max_batch = max_batch;
    return rollout(context, {}, request, {});
  }

  Tokenizer tokenizer_;
  ChatTemplate chat_;
  CausalLm model_;
  Rubric rubric_;
};

std::vector<const Trajectory*> all_of(const std::vector<TrajectoryGroup>& groups) {
  std::vector<const Trajectory*> all;
  for (const TrajectoryGroup& group : groups) {
    for (const Trajectory& trajectory : group.trajectories) all.push_back(&trajectory);
  }
  return all;
}

std::vector<const Trajectory*> all_of(std::vector<TrajectoryGroup>&&) = delete;

TEST_F(EpisodeTest, ScoreIsTheRewardAndTurnsAreKept) {
  const auto groups = roll({.num_turns = 3}, 110);
  for (const Trajectory* t : all_of(groups)) {
    ASSERT_TRUE(t->episode);
    EXPECT_EQ(t->score.status, ScoreStatus::kOk) << t->score.error;
    const auto num_turns = static_cast<double>(t->episode->num_turns());
    EXPECT_EQ(t->score.reward, num_turns / 10.0);
    EXPECT_EQ(t->completion.inserted.size(), t->episode->num_turns() - 1u);
    EXPECT_EQ(t->episode->turns.size(), 2u * static_cast<size_t>(num_turns) - 1u);
    if (!t->episode->is_terminated) continue;
    EXPECT_EQ(num_turns, 3.0);
    EXPECT_EQ(t->episode->stop_reason, StopReason::kCompleted);
    EXPECT_EQ(t->completion.finish_reason, FinishReason::kStop);
  }
  const Metrics metrics = rollout_metrics(groups, {"task"});
  EXPECT_GE(metrics.get("episode/turns_mean"), 1.0);
}

TEST_F(EpisodeTest, WithoutRoomItIsTruncatedForMaxTokens) {
  const auto groups = roll({.num_turns = 1000}, 12);
  for (const Trajectory* t : all_of(groups)) {
    EXPECT_FALSE(t->episode->is_terminated);
    EXPECT_TRUE(t->episode->is_truncated);
    EXPECT_EQ(t->episode->stop_reason, StopReason::kMaxTokens);
    EXPECT_EQ(t->completion.finish_reason, FinishReason::kLength);
    EXPECT_EQ(t->episode->turns.back().role, "assistant");  // what it could not hear is not told
    EXPECT_EQ(t->score.status, ScoreStatus::kOk);           // scored as it stands
  }
}

TEST_F(EpisodeTest, ThreadsAndBatchesChangeNothing) {
  const auto want = roll({.num_turns = 3});
  for (const int64_t num_parallel : {0, 1, 4}) {
    for (const int64_t max_batch : {1, 5, 64}) {
      const auto groups = roll({.num_turns = 3, .num_parallel = num_parallel}, 100, max_batch);
      for (size_t g = 0; g < want.size(); ++g) {
        for (size_t i = 0; i < want[g].trajectories.size(); ++i) {
          EXPECT_EQ(groups[g].trajectories[i].completion.ids, want[g].trajectories[i].completion.ids);
          EXPECT_EQ(groups[g].trajectories[i].score.reward, want[g].trajectories[i].score.reward);
        }
      }
    }
  }
}

struct FaultCase {
  std::string fault;
  FailureKind kind;
  std::string says;
};
class EpisodeFault : public EpisodeTest, public testing::WithParamInterface<FaultCase> {};

TEST_P(EpisodeFault, IsAFailureAndNoScore) {
  int64_t num_failed = 0;
  for (const int64_t num_parallel : {0, 2}) {
    const auto groups = roll({.num_turns = 4, .fault = GetParam().fault, .num_parallel = num_parallel});
    for (const Trajectory* t : all_of(groups)) {
      const bool is_cut = t->completion.finish_reason == FinishReason::kLength;  // what is answered counts no more
      if (t->episode->num_turns() < 2 || is_cut) continue;
      ++num_failed;
      EXPECT_EQ(t->score.status, ScoreStatus::kFailed);
      EXPECT_EQ(t->score.kind, GetParam().kind);
      EXPECT_THAT(t->score.error, HasSubstr(GetParam().says));
      EXPECT_FALSE(t->is_valid);
      ASSERT_EQ(t->score.breakdown.size(), 1u);
      EXPECT_EQ(t->score.breakdown[0].status, ScoreStatus::kFailed);
    }
  }
  EXPECT_GT(num_failed, 0);
}
INSTANTIATE_TEST_SUITE_P(All, EpisodeFault,
                         testing::Values(FaultCase{"throw", FailureKind::kFailed, "environment: it broke"},
                                         FaultCase{"timeout", FailureKind::kTimeout, "no answer within 1 s"},
                                         FaultCase{"nan", FailureKind::kProtocol, "its score is nan, want 0 to 1"},
                                         FaultCase{"range", FailureKind::kProtocol, "its score is 1.5, want 0 to 1"},
                                         FaultCase{"part", FailureKind::kProtocol, "its part turns is inf"},
                                         FaultCase{"silent", FailureKind::kProtocol, "goes on and says nothing"},
                                         FaultCase{"role", FailureKind::kProtocol, "role 'wizard' is not supported"},
                                         FaultCase{"empty", FailureKind::kProtocol, "its messages are no tokens"}),
                         [](const auto& info) { return info.param.fault; });

TEST_F(EpisodeTest, EnvironmentsWordsCarryNoLossAndSamplersLogprobsAreTheLearners) {
  const auto groups = [&] {
    auto rolled = roll({.num_turns = 3});
    for (TrajectoryGroup& group : rolled) {
      for (size_t i = 0; i < group.trajectories.size(); ++i) group.trajectories[i].advantage = i % 2 == 0 ? 1.0 : -1.0;
    }
    return rolled;
  }();
  const TrainBatch batch = pack_groups(groups, 200, 1.0, at::kCPU);
  int64_t num_sampled = 0;
  int64_t num_inserted = 0;
  for (const Trajectory* t : all_of(groups)) {
    num_sampled += t->completion.num_sampled();
    num_inserted += static_cast<int64_t>(t->completion.ids.size()) - t->completion.num_sampled();
  }
  EXPECT_GT(num_inserted, 0);
  EXPECT_EQ(batch.num_loss_tokens, num_sampled);
  const at::NoGradGuard no_grad;
  int64_t num_rows = 0;
  for (const Microbatch& m : batch.microbatches) {
    const Tensor hidden = model_.forward(m.tokens, {}, nullptr);
    const Tensor logprobs = model_.token_scores(hidden.index_select(0, m.loss_rows), m.targets, 1.0, {}).logprobs;
    EXPECT_TRUE(at::equal(logprobs, m.sampler_logprobs));  // bit for bit
    num_rows += m.loss_rows.numel();
  }
  EXPECT_EQ(num_rows, num_sampled);
}

TEST_F(EpisodeTest, TranscriptIsInTheRolloutsFile) {
  const auto groups = roll({.num_turns = 2});
  const Json json = to_json(groups[0], {"task"});
  const Json& episode = json["samples"][0]["episode"];
  EXPECT_TRUE(episode["turns"].is_array());
  EXPECT_TRUE(episode.contains("stop_reason"));
  EXPECT_EQ(json["samples"][0]["breakdown"]["task"]["score"], episode["score"]);
}

}  // namespace
}  // namespace noregret
