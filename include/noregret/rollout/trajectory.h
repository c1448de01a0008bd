#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "noregret/base/json.h"
#include "noregret/reward/rubric.h"
#include "noregret/rollout/env.h"
#include "noregret/rollout/generator.h"

namespace noregret {

// How an episode went.
struct EpisodeEnd {
  std::vector<Message> turns;  // after the task's messages: the policy's and the environment's
  bool is_terminated = false;
  bool is_truncated = false;
  StopReason stop_reason = StopReason::kCompleted;
  double score = 0.0;
  std::vector<std::pair<std::string, double>> parts;
  FailureKind failure = FailureKind::kNone;  // of the environment: then there is no score
  std::string error;
  int64_t num_turns() const;  // of the policy
};

// One sampled and scored completion.
struct Trajectory {
  Completion completion;
  std::string text;                   // what the policy said, control tokens left out; turns on lines of their own
  std::optional<EpisodeEnd> episode;  // of a source with episodes
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

// {turns: [{role, content}], stop_reason, is_terminated, is_truncated, score, parts}; turns and error where it failed.
Json to_json(const EpisodeEnd& episode);

// One JSON object for rollouts/step_*.jsonl and evals/step_*.jsonl: id, prompt, reference, samples [{text, reward,
// status, breakdown, ..., episode}].
Json to_json(const TrajectoryGroup& group, const std::vector<std::string>& component_names);

}  // namespace noregret
