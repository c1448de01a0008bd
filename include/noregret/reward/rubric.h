#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "noregret/reward/plugin.h"
#include "noregret/reward/reward_options.h"
#include "noregret/reward/scorer.h"

namespace noregret {

// The rubric's verdict on one item. `reward` = sum of weight * score; when any component of non-zero weight failed, the
// status is kFailed and the sample takes no part in the loss. A failure is never a number.
struct RubricResult {
  ScoreStatus status = ScoreStatus::kFailed;
  double reward = 0.0;
  std::string error;
  FailureKind kind = FailureKind::kNone;  // of the first component that failed it
  std::vector<ComponentScore> breakdown;  // one a component, in the rubric's order
};

// Where rewards find what they run. A folder of plugins implies the rest.
struct RewardHost {
  RewardHost(std::filesystem::path plugins, std::string search_path_in = "/usr/local/bin:/usr/bin:/bin")
      : plugin_dir(std::move(plugins)),
        worker(std::filesystem::absolute(plugin_dir).parent_path() / "noregret-reward-worker"),
        search_path(std::move(search_path_in)) {}

  std::filesystem::path plugin_dir;  // lib<name>.so; its folder python/ is on PYTHONPATH of Python rewards
  std::filesystem::path worker;      // the program that plugins run in
  std::string search_path;           // PATH of rewards that are programs
  bool wants_namespace = true;       // PID namespaces for workers, where the system has them
};

class OutputLog;

// A scorer as the options say: a library in worker processes or in this one, a program, a service. What their
// processes print goes to `log`. Throws ConfigError: not there, does not load, refuses its options.
std::unique_ptr<Scorer> make_scorer(const RewardOptions& reward, const RewardHost& host, OutputLog& log);

// Called now and then, in the caller's thread, while a rubric waits. What it throws ends the wait and passes through.
using ScoreTick = std::function<void()>;

// Weighted rewards. Component names are the plugins' names (or `name:` of the options), unique.
class Rubric {
 public:
  Rubric(const std::vector<RewardOptions>& rewards, const RewardHost& host);  // throws ConfigError
  ~Rubric();
  Rubric(Rubric&&) noexcept;
  Rubric& operator=(Rubric&&) = delete;

  std::vector<RubricResult> score(std::span<const ScoreItem> items, const ScoreTick& tick = {}) const;
  const std::vector<std::string>& component_names() const { return names_; }
  const std::vector<std::unique_ptr<Scorer>>& scorers() const { return scorers_; }

  // From now on, what rewards print is appended to this file. Throws IoError.
  void keep_output(const std::filesystem::path& log_file) const;
  // What they printed so far, when it is kept in no file.
  std::string take_output() const;

 private:
  std::unique_ptr<OutputLog> log_;
  std::vector<std::unique_ptr<Scorer>> scorers_;
  std::vector<std::string> names_;
  std::vector<double> weights_;
};

}  // namespace noregret
