#include <algorithm>
#include <optional>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/objective/advantage.h"
#include "noregret/rollout/batch_source.h"
#include "rollout/task_order.h"

namespace noregret {
namespace {

// Apart from the epochs' shuffles, whose streams have one part.
constexpr uint64_t kRewardShuffle = 1;

RolloutRequest request_for(const RolloutSource::Setup& setup, int64_t step) {
  const int64_t size = setup.context.tasks->size(Split::kTrain);
  if (size == 0) throw DataError("the task has no training problems; name a file with some in task.path");
  RolloutRequest request;
  request.step = step;
  request.task_indices = step_indices(size, setup.context.seed, step, setup.rollout.groups);
  request.group_size = setup.rollout.group_size;
  request.generate.max_new_tokens = setup.rollout.max_new_tokens;
  request.generate.temperature = setup.rollout.temperature;
  request.generate.max_batch = setup.rollout.max_batch;
  request.truncated = setup.rollout.truncated;
  return request;
}

// One reward has no baseline: such a group takes no part in any term of the loss.
void skip_small_groups(std::vector<TrajectoryGroup>& groups) {
  for (TrajectoryGroup& group : groups) {
    const auto is_valid = [](const Trajectory& trajectory) { return trajectory.is_valid; };
    if (std::count_if(group.trajectories.begin(), group.trajectories.end(), is_valid) >= 2) continue;
    for (Trajectory& trajectory : group.trajectories) trajectory.is_valid = false;
  }
}

// The valid completions' rewards in order of groups and samples, in new places when `shuffle` names a stream.
std::vector<double> rewards_of(const std::vector<TrajectoryGroup>& groups, const std::optional<Rng>& shuffle) {
  std::vector<double> rewards;
  for (const TrajectoryGroup& group : groups) {
    for (const Trajectory& trajectory : group.trajectories) {
      if (trajectory.is_valid) rewards.push_back(trajectory.score.reward);
    }
  }
  if (!shuffle) return rewards;
  std::vector<double> shuffled;
  for (const int64_t from : permutation(static_cast<int64_t>(rewards.size()), *shuffle))
    shuffled.push_back(rewards[from]);
  return shuffled;
}

// `rewards` has one entry a valid completion. Shuffled rewards reach the loss only: metrics and files keep the true
// ones.
void set_advantages(std::vector<TrajectoryGroup>& groups, const std::vector<double>& rewards,
                    const std::string& advantage) {
  auto next = rewards.begin();
  for (TrajectoryGroup& group : groups) {
    std::vector<double> group_rewards;
    std::vector<bool> is_valid;
    for (const Trajectory& trajectory : group.trajectories) {
      group_rewards.push_back(trajectory.is_valid ? *next++ : 0.0);
      is_valid.push_back(trajectory.is_valid);
    }
    const std::vector<double> advantages = group_advantages(advantage, group_rewards, is_valid);
    for (size_t i = 0; i < advantages.size(); ++i) group.trajectories[i].advantage = advantages[i];
  }
  NOREGRET_CHECK(next == rewards.end());
}

}  // namespace

SourceBatch RolloutSource::next(int64_t step) {
  SourceBatch batch;
  RolloutTiming timing;
  batch.groups = rollout(setup_.context, setup_.policy, request_for(setup_, step), setup_.progress, &timing);
  std::optional<Rng> shuffle;
  if (setup_.rollout.shuffle_rewards) {
    shuffle = Rng::stream(setup_.context.seed, Purpose::kShuffle, {static_cast<uint64_t>(step), kRewardShuffle});
  }
  skip_small_groups(batch.groups);
  set_advantages(batch.groups, rewards_of(batch.groups, shuffle), setup_.objective.advantage);
  batch.metrics = rollout_metrics(batch.groups, setup_.context.rubric->component_names());
  batch.timing.set("time/rollout_s", timing.generate_s);
  batch.timing.set("time/reward_s", timing.reward_s);
  batch.timing.set("perf/rollout_tokens_per_s",
                   static_cast<double>(timing.new_tokens) / std::max(1e-9, timing.generate_s));
  batch.train = pack_groups(batch.groups, setup_.microbatch_tokens, setup_.rollout.temperature,
                            setup_.context.model->device(), setup_.objective.kl_coef > 0);
  return batch;
}

}  // namespace noregret
