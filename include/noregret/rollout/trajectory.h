#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "noregret/base/json.h"
#include "noregret/reward/rubric.h"
#include "noregret/rollout/env.h"
#include "noregret/rollout/generator.h"

namespace noregret {

// One sampled and scored completion.
struct Trajectory {
  Completion completion;
  std::string text;  // the completion, control tokens left out
  RubricResult score;
  bool is_valid = false;  // takes part in the loss: scored, and not masked for truncation
  double advantage = 0.0;
};

// The G completions of one task.
struct TrajectoryGroup {
  Task task;
  std::vector<int64_t> prompt_ids;
  std::string prompt_text;
  std::vector<Trajectory> trajectories;
  std::string adapter_digest;  // of the policy that sampled; "" = base
  int64_t policy_version = 0;  // updates done when sampled
};

// One JSON object for rollouts/step_*.jsonl and evals/step_*.jsonl: id, prompt, reference, samples [{text, reward,
// status, breakdown, ...}].
Json to_json(const TrajectoryGroup& group, const std::vector<std::string>& component_names);

}  // namespace noregret
