#pragma once

#include <cstdint>
#include <future>
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

// Which checkpoints stay. The newest always does.
struct Retention {
  int64_t keep_last = 3;
  int64_t keep_every = 0;  // those too whose step is a multiple of it; 0 = none
  int64_t keep_best = 0;   // and this many with the highest "score" in their state.json
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
  // `warnings`, as is what differs from the run's first start.
  std::optional<fs::path> checkpoint() const { return checkpoint_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  // One line each to metrics.jsonl and timing.jsonl, and TensorBoard. Non-finite numbers become null and are counted in
  // log/non_finite. Lines that cannot be written wait for the next call of log() or save(); returns why.
  std::optional<std::string> log(int64_t step, Metrics metrics, const Metrics& timing);
  void write_rollouts(int64_t step, const std::vector<TrajectoryGroup>& groups,
                      const std::vector<std::string>& component_names);
  void write_evals(int64_t step, const std::string& name, const std::vector<TrajectoryGroup>& groups,
                   const std::vector<std::string>& component_names);

  // checkpoints/step_NNNNNN with these files and state.json = `state` plus the cursors of the logs; then LATEST; then
  // older ones beyond the retention are removed. The folder appears whole or not at all, and where that fails the
  // checkpoints are as before. Throws IoError.
  void save(int64_t step, std::vector<NamedBytes> files, Json state, const Retention& retention);
  // The same in two halves. begin_save() takes the cursors of the logs; a thread writes the rest. It is one at a time:
  // the one before is finished first. finish_save() waits for the end, and throws what was in its way, once; until then
  // checkpoint() is the one before. Whatever else reads or removes checkpoints, and the destructor, wait too.
  void begin_save(int64_t step, std::vector<NamedBytes> files, Json state, const Retention& retention);
  bool is_saving() const;  // finish_save() would have to wait
  void finish_save();
  // Throws IoError when the disk has no room for the checkpoints that the retention's keep_last will leave, of this
  // size, and one in the making.
  void check_space(const std::vector<NamedBytes>& files, const Retention& retention) const;
  // Where the logs end. cut_back() takes away what was written since. Throws IoError.
  Json cursors();
  void cut_back(const Json& cursors);
  // Goes back behind checkpoints from this step on, which hold weights of no use, and removes them; unless no older
  // whole one is left.
  void forget_from(int64_t step);

 private:
  void start_fresh(const Setup& setup);
  void reopen(const Setup& setup);
  void choose_checkpoint();
  void flush();
  void await_writer() const;

  fs::path path_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<AppendFile> metrics_;
  std::unique_ptr<AppendFile> timing_;
  std::unique_ptr<AppendFile> events_;
  std::string waiting_metrics_;  // lines that are not in the files yet
  std::string waiting_timing_;
  std::optional<fs::path> checkpoint_;
  std::vector<std::string> warnings_;
  std::future<fs::path> saving_;  // writes a checkpoint and returns its folder
};

}  // namespace noregret
