#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/progress.h"
#include "noregret/rollout/batch_source.h"
#include "noregret/run/evaluator.h"
#include "noregret/run/experiment.h"
#include "noregret/run/memory_plan.h"
#include "noregret/run/reporter.h"
#include "noregret/run/run_dir.h"
#include "noregret/run/signals.h"
#include "noregret/run/watchdog.h"
#include "noregret/train/learner.h"

namespace noregret {

class FailureWatch;

struct RunSummary {
  int64_t steps = 0;  // updates done
  std::vector<Evaluation> before;
  std::vector<Evaluation> after;
  std::vector<double> rewards;  // reward/mean of the steps of this process
  double planned_bytes =
      0.0;  // of memory at the peak; 0 = LibTorch's operators are at work, for which there is no plan
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
    Watchdog* watchdog = nullptr;  // may be null
    int64_t last_step = -1;        // where to end before train.steps; -1 = there
  };
  explicit Trainer(Setup setup);
  ~Trainer();

  // Goes on from the run directory's checkpoint where there is one; else writes one before the first step, so that a
  // disk that takes none is found out. A stop signal writes a checkpoint and throws InterruptedError; DivergedError
  // leaves the last good checkpoint. Steps go on while a checkpoint is written; the first, the last and one that a
  // signal asks for are waited for. One that cannot be written is a warning, the last one an IoError.
  RunSummary run();

 private:
  void plan_sizes();
  void make_sources();
  bool halve_memory();  // false when there is nothing left to halve
  void restore(const fs::path& checkpoint);
  void rehearse_save();
  void go_through_steps(RunSummary& summary);
  int64_t last_step() const;
  void beat(const std::string& phase);
  void poll(const std::string& phase);  // signals and watchdog; throws InterruptedError
  void in_smaller_pieces(const std::function<void()>& work);
  void take_step(RunSummary& summary);
  void note_failures(const std::vector<TrajectoryGroup>& groups);
  void watch_failures() const;           // throws RewardFailureError
  void close_step(RunSummary& summary);  // evaluates where due, writes the step's metrics
  void evaluate(Metrics& metrics, RunSummary& summary);
  Retention retention() const;
  // Of the three: false = the weights give no finite log-probs, and nothing is written. Throw IoError.
  bool save();
  bool begin_save();  // takes the bytes and goes on; await_save() tells how it ended
  void finish_save();
  void begin_save_or_warn();
  void await_save();  // a checkpoint that is being written: its failure is a warning
  void warn_of_save(int64_t step, const IoError& error);
  void or_warn(const std::string& what, const std::function<void()>& write);
  std::string newest_text() const;
  std::string broken_rule() const;
  void report_step(const SourceBatch& batch, const Metrics& metrics);
  bool is_due(int64_t every) const;
  Metrics adapter_metrics() const;
  RolloutProgress progress(const std::string& what);

  Setup setup_;
  const RunConfig& config_;
  BatchSizes sizes_;  // of the config, or less where memory is short
  double planned_bytes_ = 0.0;
  std::optional<Adapter> reference_;
  std::unique_ptr<Adam> optimizer_;
  std::unique_ptr<Learner> learner_;
  std::unique_ptr<BatchSource> source_;
  std::unique_ptr<Evaluator> evaluator_;
  std::unique_ptr<FailureWatch> failures_;  // in RL
  std::string last_failure_;                // why the last reward failed, for a person
  Eta eta_;
  double base_norm_ = 0.0;  // Frobenius norm of the adapted weights
  double recipe_lr_ = 0.0;
  int64_t step_ = 0;  // steps done
  int64_t updates_before_step_ = 0;
  Json before_last_eval_;  // metrics and cursors of the last step, where its evaluation was due for being the last
  double score_ = 0.0;     // of the last evaluation, after scored_step_
  int64_t scored_step_ = -1;
  int64_t num_failed_saves_ = 0;
  double save_s_ = 0.0;  // that checkpoints have held the steps up since the last line of timing.jsonl
  std::optional<Metrics>
      open_step_;  // of a step that is trained but not yet evaluated and logged; part of a checkpoint
  Metrics timing_;
  int64_t saving_step_ = -1;  // of the checkpoint that is being written; -1 = none
  int64_t saved_step_ = -1;   // written, or being written
};

}  // namespace noregret
