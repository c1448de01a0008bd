#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/metrics.h"
#include "noregret/config/run_options.h"
#include "noregret/rollout/rollouter.h"
#include "noregret/run/statistics.h"

namespace noregret {

// Scores on held-out problems. The accuracy of a completion is the score of the first reward component (the task's own
// measure), not the weighted reward, so that a policy that only games another component does not look better.
struct Evaluation {
  std::string name;                  // "greedy", "sampled"
  int64_t num_samples = 1;           // k
  std::vector<int64_t> problem_idx;  // of the problems with a score, ascending
  std::vector<double> accuracy;      // one a problem with a score: mean over its samples that were scored
  std::vector<double> pass;  // one a problem with a score: pass@k; right = the highest score that the plugin declares
  Interval avg;
  Interval pass_at;
  int64_t num_failed = 0;  // samples without a score: left out and counted
  std::vector<TrajectoryGroup> groups;
};

class Evaluator {
 public:
  // Everything in `context` is borrowed. Throws ConfigError without a task or without rewards.
  Evaluator(RolloutContext context, EvalOptions options, int64_t max_new_tokens, int64_t max_batch);

  std::vector<Evaluation> run(const AdapterStack& policy, const RolloutProgress& progress) const;

 private:
  Evaluation evaluate(const AdapterStack& policy, const std::string& name, int64_t num_samples, double temperature,
                      const RolloutProgress& progress) const;

  RolloutContext context_;
  EvalOptions options_;
  int64_t max_new_tokens_;
  int64_t max_batch_;
};

// eval/<name>/{avg, avg_low, avg_high, pass@k, failed, problems}
Metrics evaluation_metrics(const std::vector<Evaluation>& evaluations);
// "greedy accuracy 0.310 [0.220, 0.400] on 100 problems" a line each.
std::string evaluation_text(const std::vector<Evaluation>& evaluations);
// Change of the accuracy on the problems that have a score in both, with a paired bootstrap interval; nothing when
// there are none.
std::optional<Interval> accuracy_change(const Evaluation& before, const Evaluation& after);

}  // namespace noregret
