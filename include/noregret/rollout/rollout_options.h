#pragma once

#include <string>

#include "noregret/base/fields.h"

namespace noregret {

struct RolloutOptions {
  using HasFieldsTag = void;
  int64_t groups = 16;
  int64_t group_size = 8;
  int64_t max_new_tokens = 256;
  double temperature = 1.0;
  int64_t max_batch = 0;
  std::string exact = "auto";
  std::string truncated = "score";
  bool shuffle_rewards = false;
  double max_failed = 0.2;
  int64_t failed_steps = 50;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("groups", groups, AtLeast{1}, "prompts a step");
    v("group_size", group_size, AtLeast{2}, "completions a prompt; the group's mean reward is the baseline");
    v("max_new_tokens", max_new_tokens, AtLeast{1}, "tokens after which a completion is cut (finish reason length)");
    v("temperature", temperature, GreaterThan{0}, "of sampling; the learner's log-probs are at the same temperature");
    v("max_batch", max_batch, AtLeast{0},
      "sequences that decode together, fewer where memory is short: changes speed and memory only; 0 = 64 on the CPU, "
      "256 on CUDA");
    v("exact", exact, OneOf{"auto", "true", "false"},
      "stop when a sampler's log-prob is not the learner's, bit for bit; auto = true on a CPU, false on CUDA, where "
      "true "
      "costs some speed");
    v("truncated", truncated, OneOf{"score", "mask"}, "a cut completion is scored as it stands, or takes no part");
    v("shuffle_rewards", shuffle_rewards,
      "control experiment: rewards change places among the step's completions, nothing can be learned");
    v("max_failed", max_failed, Range{0, 1},
      "share of completions without a reward, over the last failed_steps, beyond which the run stops with code 77");
    v("failed_steps", failed_steps, AtLeast{1}, "steps over which failures are counted, at most all of the run");
  }
};

inline int64_t max_batch_of(const RolloutOptions& options, bool is_cuda) {
  if (options.max_batch > 0) return options.max_batch;
  return is_cuda ? 256 : 64;
}

}  // namespace noregret
