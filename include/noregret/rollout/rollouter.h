#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "noregret/base/metrics.h"
#include "noregret/reward/rubric.h"
#include "noregret/rollout/rollout_options.h"
#include "noregret/rollout/trajectory.h"
#include "noregret/text/chat.h"

namespace noregret {

// What rollouts are made with. Everything is borrowed.
struct RolloutContext {
  const CausalLm* model = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat = nullptr;
  const TaskSource* tasks = nullptr;
  const Rubric* rubric = nullptr;
  uint64_t seed = 0;
};

struct RolloutRequest {
  Split split = Split::kTrain;
  Purpose purpose = Purpose::kTrain;
  int64_t step = 0;  // part of the random streams' keys, with task index and sample
  std::vector<int64_t> task_indices;
  int64_t group_size = 1;
  GenerateOptions generate;  // stop_ids are filled in from the chat template
  std::string truncated = "score";
};

using RolloutProgress = std::function<void(const std::string& phase, int64_t done, int64_t total)>;

struct RolloutTiming {
  double generate_s = 0.0;  // completions are scored meanwhile
  double reward_s = 0.0;    // what is left of scoring then
  int64_t new_tokens = 0;
};

// Tasks -> prompts -> completions -> rewards, a group a task index. Advantages are not set here. The random stream of a
// completion is that of (seed, purpose, step, task index, sample); a task index that comes a second time goes on with
// samples group_size, ... A completion ends with one of the template's stop ids or the model's end-of-sequence ids.
// `timing` may be null. Throws DataError naming the task whose prompt does not fit the context.
std::vector<TrajectoryGroup> rollout(const RolloutContext& context, const AdapterStack& policy,
                                     const RolloutRequest& request, const RolloutProgress& progress,
                                     RolloutTiming* timing = nullptr);

// The numbers of a step's groups, in this order (a mean without values is left out):
//   reward/mean                                 weighted sum, over valid completions
//   reward/<component>/{mean, std}              unweighted, over completions that the component scored; std with n
//   reward/<component>/<part>/mean
//   reward/failed, reward/failed_frac           completions without a reward
//   reward/failed/<kind>                        those of each kind that there were (failure_name)
//   group/skipped_frac                          groups with fewer than two valid completions: they take no part
//   group/mixed_frac                            groups whose valid rewards differ: the only ones that teach
//   group/{all_right,all_wrong}_frac            groups whose valid rewards are all equal, and > 0 or <= 0
//   rollout/tokens, rollout/length_mean, rollout/truncated_frac    new tokens; share of completions that were cut
//   info/bits_bound                             bits_bound() summed over the groups; success = share of valid rewards
//                                               equal to the group's best
// and of sources with episodes, over those whose environment did not fail:
//   episode/turns_mean, episode/inserted_tokens_mean    the policy's turns; ids of the environment's
//   episode/<stop reason>_frac                          of each reason that there was (stop_reason_name)
Metrics rollout_metrics(const std::vector<TrajectoryGroup>& groups, const std::vector<std::string>& component_names);

}  // namespace noregret
