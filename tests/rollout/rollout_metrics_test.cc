#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "noregret/rollout/rollouter.h"

namespace noregret {
namespace {

Trajectory scored(double reward, int64_t length = 2) {
  Trajectory t;
  t.completion.ids.assign(length, 1);
  t.completion.logprobs.assign(length, 0.0f);
  t.completion.finish_reason = FinishReason::kStop;
  t.score.status = ScoreStatus::kOk;
  t.score.reward = reward;
  t.score.breakdown = {ComponentScore{ScoreStatus::kOk, reward, "", {{"shape", reward / 2}}}};
  t.is_valid = true;
  return t;
}

Trajectory failed() {
  Trajectory t = scored(0.0);
  t.score.status = ScoreStatus::kFailed;
  t.score.error = "killed";
  t.score.kind = FailureKind::kFailed;
  t.score.breakdown[0] = ComponentScore{ScoreStatus::kFailed, 0.0, "killed", {}};
  t.is_valid = false;
  return t;
}

TrajectoryGroup group(std::vector<Trajectory> trajectories) {
  TrajectoryGroup g;
  g.trajectories = std::move(trajectories);
  return g;
}

TEST(RolloutMetrics, MeansLeaveOutFailedRewards) {
  const Metrics m = rollout_metrics({group({scored(1.0), scored(0.5), failed()})}, {"exact"});
  EXPECT_DOUBLE_EQ(m.get("reward/mean"), 0.75);
  EXPECT_DOUBLE_EQ(m.get("reward/exact/mean"), 0.75);
  EXPECT_DOUBLE_EQ(m.get("reward/exact/std"), 0.25);
  EXPECT_DOUBLE_EQ(m.get("reward/exact/shape/mean"), 0.375);
}

TEST(RolloutMetrics, FailedRewardsAreCounted) {
  const Metrics m = rollout_metrics({group({scored(1.0), scored(0.5), failed(), failed()})}, {"exact"});
  EXPECT_EQ(m.get("reward/failed"), 2.0);
  EXPECT_EQ(m.get("reward/failed_frac"), 0.5);
}

TEST(RolloutMetrics, FailuresAreCountedByKind) {
  Trajectory late = failed();
  late.score.kind = FailureKind::kTimeout;
  Trajectory dead = failed();
  dead.score.kind = FailureKind::kCrashed;
  const Metrics m = rollout_metrics({group({scored(1.0), late, late, dead})}, {"exact"});
  EXPECT_EQ(m.get("reward/failed/timeout"), 2.0);
  EXPECT_EQ(m.get("reward/failed/crashed"), 1.0);
  EXPECT_FALSE(m.has("reward/failed/protocol"));
}

TEST(RolloutMetrics, GroupWithOneValidRewardIsCountedAsSkipped) {
  const Metrics m = rollout_metrics({group({scored(1.0), failed()}), group({scored(1.0), scored(0.0)})}, {"exact"});
  EXPECT_EQ(m.get("group/skipped_frac"), 0.5);
}

TEST(RolloutMetrics, MeanIsAbsentWhenNothingIsValid) {
  const Metrics m = rollout_metrics({group({failed(), failed()})}, {"exact"});
  EXPECT_FALSE(m.has("reward/mean"));
  EXPECT_FALSE(m.has("reward/exact/mean"));
  EXPECT_EQ(m.get("group/mixed_frac"), 0.0);
}

TEST(RolloutMetrics, MaskedCompletionCountsInItsComponentOnly) {
  Trajectory masked = scored(0.0);
  masked.is_valid = false;
  masked.completion.finish_reason = FinishReason::kLength;
  const Metrics m = rollout_metrics({group({scored(1.0), masked})}, {"exact"});
  EXPECT_EQ(m.get("reward/mean"), 1.0);
  EXPECT_EQ(m.get("reward/exact/mean"), 0.5);
  EXPECT_EQ(m.get("rollout/truncated_frac"), 0.5);
}

TEST(RolloutMetrics, GroupsAreMixedRightOrWrong) {
  const Metrics m = rollout_metrics({group({scored(1.0), scored(0.0)}), group({scored(1.0), scored(1.0)}),
                                     group({scored(0.0), scored(0.0)}), group({scored(-1.0), scored(-1.0)})},
                                    {"exact"});
  EXPECT_EQ(m.get("group/mixed_frac"), 0.25);
  EXPECT_EQ(m.get("group/all_right_frac"), 0.25);
  EXPECT_EQ(m.get("group/all_wrong_frac"), 0.5);
}

TEST(RolloutMetrics, BitsBoundSumsTheGroupsEntropies) {
  // One of four right: 4 H2(1/4) bits; equal rewards teach nothing.
  const Metrics m = rollout_metrics(
      {group({scored(1.0), scored(0.0), scored(0.0), scored(0.0)}), group({scored(1.0), scored(1.0)})}, {"exact"});
  EXPECT_NEAR(m.get("info/bits_bound"), 4.0 * (0.25 * 2.0 + 0.75 * std::log2(4.0 / 3.0)), 1e-12);  // f64 rounding
}

TEST(RolloutMetrics, CountsTokens) {
  const Metrics m = rollout_metrics({group({scored(1.0, 3), scored(0.0, 7)})}, {"exact"});
  EXPECT_EQ(m.get("rollout/tokens"), 10.0);
  EXPECT_EQ(m.get("rollout/length_mean"), 5.0);
  EXPECT_EQ(m.get("rollout/truncated_frac"), 0.0);
}

TEST(RolloutMetrics, SpreadOfEqualScoresIsExactlyZero) {
  EXPECT_EQ(rollout_metrics({group({scored(0.1), scored(0.1), scored(0.1)})}, {"exact"}).get("reward/exact/std"), 0.0);
}

TEST(TrajectoryJson, FailedRewardIsNullWithItsReason) {
  TrajectoryGroup g = group({failed()});
  g.task.id = "t/1";
  const Json json = to_json(g, {"exact"});
  EXPECT_TRUE(json["samples"][0]["reward"].is_null());
  EXPECT_EQ(json["samples"][0]["status"], "failed");
  EXPECT_EQ(json["samples"][0]["breakdown"]["exact"]["error"], "killed");
}

TEST(TrajectoryJson, HoldsTextRewardAndBreakdown) {
  TrajectoryGroup g = group({scored(0.5)});
  g.task.id = "t/1";
  g.task.reference = "8";
  g.prompt_text = "5+3?";
  g.trajectories[0].text = "8";
  const Json json = to_json(g, {"exact"});
  EXPECT_EQ(json["id"], "t/1");
  EXPECT_EQ(json["prompt"], "5+3?");
  EXPECT_EQ(json["reference"], "8");
  EXPECT_EQ(json["samples"][0]["text"], "8");
  EXPECT_EQ(json["samples"][0]["reward"], 0.5);
  EXPECT_EQ(json["samples"][0]["breakdown"]["exact"]["score"], 0.5);
  EXPECT_EQ(json["samples"][0]["breakdown"]["exact"]["parts"]["shape"], 0.25);
  EXPECT_EQ(json["samples"][0]["finish_reason"], "stop");
}

}  // namespace
}  // namespace noregret
