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
  int64_t step = 0;                   // part of the random streams' keys, with task index and sample
  std::vector<int64_t> task_indices;
  int64_t group_size = 1;
  GenerateOptions generate;           // stop_ids are filled in from the chat template
  std::string truncated = "score";
};

using RolloutProgress = std::function<void(const std::string& phase, int64_t done, int64_t total)>;

// Tasks -> prompts -> completions -> rewards. Advantages are not set here.
std::vector<TrajectoryGroup> rollout(const RolloutContext& context, const AdapterStack& policy, const RolloutRequest& request,
                                     const RolloutProgress& progress);

// reward/*, group/*, rollout/*, info/bits_bound of a step's groups (names: docs/metrics.md).
Metrics rollout_metrics(const std::vector<TrajectoryGroup>& groups, const std::vector<std::string>& component_names);

}  // namespace noregret
