#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/base/json.h"
#include "noregret/base/metrics.h"
#include "noregret/rollout/trajectory.h"

namespace noregret {

// One file of a checkpoint.
struct NamedBytes {
  std::string name;
  std::string bytes;
};

// The folder of a run and the only code that knows its file names:
//   config.resolved.yaml manifest.json metrics.jsonl timing.jsonl log.txt rollouts/ evals/ tensorboard/ checkpoints/
//   LATEST LOCK
// Locked while the object lives. Throws LockedError, IoError, ConfigError (made by another config), DataError (damaged
// checkpoint).
class RunDir {
 public:
  enum class Resume { kAuto, kRequired, kNever };
  struct Setup {
    fs::path path;
    Json config;    // resolved
    Json manifest;  // what else identifies the run: version, hashes, device
    Resume resume = Resume::kAuto;
    std::vector<std::string> allowed;  // keys that may differ from the earlier config
    bool tensorboard = true;
  };
  explicit RunDir(const Setup& setup);
  ~RunDir();
  RunDir(const RunDir&) = delete;
  RunDir& operator=(const RunDir&) = delete;

  const fs::path& path() const { return path_; }
  fs::path log_file() const { return path_ / "log.txt"; }
  // The newest checkpoint whose files match their hashes, verified; none in a fresh run. Damaged ones are listed in
  // `warnings`.
  std::optional<fs::path> checkpoint() const { return checkpoint_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  // One line each to metrics.jsonl and timing.jsonl, and TensorBoard. Non-finite numbers become null and are counted in
  // log/non_finite.
  void log(int64_t step, Metrics metrics, const Metrics& timing);
  void write_rollouts(int64_t step, const std::vector<TrajectoryGroup>& groups,
                      const std::vector<std::string>& component_names);
  void write_evals(int64_t step, const std::string& name, const std::vector<TrajectoryGroup>& groups,
                   const std::vector<std::string>& component_names);

  // checkpoints/step_NNNNNN with these files and state.json = `state` plus the cursors of the logs; then LATEST; then
  // older ones beyond `keep_last` are removed. The folder appears whole or not at all.
  void save(int64_t step, const std::vector<NamedBytes>& files, Json state, int64_t keep_last);
  // Goes back behind checkpoints from this step on, which hold weights of no use, and removes them; unless no older
  // whole one is left.
  void forget_from(int64_t step);

 private:
  void start_fresh(const Setup& setup);
  void reopen(const Setup& setup);
  void find_checkpoint();
  void cut_logs_back();
  void prune(int64_t keep_last, const std::string& latest);

  fs::path path_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<AppendFile> metrics_;
  std::unique_ptr<AppendFile> timing_;
  std::unique_ptr<AppendFile> events_;
  std::optional<fs::path> checkpoint_;
  std::vector<std::string> warnings_;
};

}  // namespace noregret
