#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/progress.h"
#include "noregret/rollout/batch_source.h"
#include "noregret/run/evaluator.h"
#include "noregret/run/experiment.h"
#include "noregret/run/reporter.h"
#include "noregret/run/run_dir.h"
#include "noregret/run/signals.h"
#include "noregret/train/learner.h"

namespace noregret {

class FailureWatch;

struct RunSummary {
  int64_t steps = 0;  // updates done
  std::vector<Evaluation> before;
  std::vector<Evaluation> after;
  std::vector<double> rewards;  // reward/mean of the steps of this process
};

// The loop of a run, the same for RL and SFT. Owns what a step needs; borrows inputs, policy, run directory and
// reporter.
class Trainer {
 public:
  struct Setup {
    const RunConfig* config;
    const Inputs* inputs;
    Policy* policy;
    RunDir* run_dir;
    Reporter* reporter;
    SignalGuard* signals;
  };
  explicit Trainer(Setup setup);
  ~Trainer();

  // Goes on from the run directory's checkpoint where there is one. A stop signal writes a checkpoint and throws
  // InterruptedError; DivergedError leaves the last good checkpoint.
  RunSummary run();

 private:
  void restore(const fs::path& checkpoint);
  void take_step(RunSummary& summary);
  void note_failures(const std::vector<TrajectoryGroup>& groups);
  void watch_failures() const;           // throws RewardFailureError
  void close_step(RunSummary& summary);  // evaluates where due, writes the step's metrics
  void evaluate(Metrics& metrics, RunSummary& summary);
  void save();
  std::string going_on_text() const;
  void report_step(const SourceBatch& batch, const Metrics& metrics);
  bool is_due(int64_t every) const;
  Metrics adapter_metrics() const;
  RolloutProgress progress(const std::string& what);

  Setup setup_;
  const RunConfig& config_;
  std::optional<Adapter> reference_;
  std::unique_ptr<Adam> optimizer_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<BatchSource> source_;
  std::unique_ptr<Evaluator> evaluator_;
  std::unique_ptr<FailureWatch> failures_;  // in RL
  std::string last_failure_;                // why the last reward failed, for a person
  Eta eta_;
  double base_norm_ = 0.0;  // Frobenius norm of the adapted weights
  int64_t first_step_ = 0;  // of this process
  int64_t step_ = 0;        // updates done
  std::optional<Metrics>
      open_step_;  // of a step that is trained but not yet evaluated and logged; part of a checkpoint
  Metrics timing_;
  int64_t saved_step_ = -1;
};

}  // namespace noregret
