#include "noregret/run/run_dir.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/config/run_config.h"
#include "noregret/config/yaml.h"
#include "noregret/format/tensorboard.h"
#include "run/checkpoint_store.h"
#include "run/resume_check.h"
#include "run/size_text.h"

namespace noregret {
namespace {

double wall_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string jsonl_record(int64_t step, const Metrics& metrics) {
  Json record = Json::object();
  record["step"] = step;
  for (const auto& [name, value] : metrics.items()) record[name] = value;
  return dump_json(record) + "\n";
}

void cut_file(const fs::path& path, uint64_t size) {
  const uint64_t bytes = fs::is_regular_file(path) ? fs::file_size(path) : 0;
  if (bytes < size) {
    throw DataError(cat(path.string(), ": ", bytes, " bytes, the checkpoint was taken at ", size,
                        "; the file was changed since, restore it or start another run directory"));
  }
  std::error_code error;
  if (bytes > size) fs::resize_file(path, size, error);
  if (error) throw IoError(cat(path.string(), ": cannot cut it back to the checkpoint: ", error.message()));
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw IoError(cat(path.string(), ": cannot make the folder: ", error.message()));
}

// What a killed process was writing aside. Nobody else writes here: the run is locked.
void remove_leftovers(const fs::path& run) {
  for (const fs::path& folder : {run, run / "rollouts", run / "evals", run / "checkpoints"}) {
    std::vector<fs::path> leftovers;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().rfind(".tmp-", 0) == 0) leftovers.push_back(entry.path());
    }
    std::error_code error;
    for (const fs::path& path : leftovers) fs::remove_all(path, error);
  }
}

void append_waiting(AppendFile& file, std::string& waiting) {
  if (waiting.empty()) return;
  file.write(waiting);
  waiting.clear();
}

}  // namespace

RunDir::RunDir(const Setup& setup) : path_(setup.path) {
  const auto refuse_without_checkpoint = [&] {
    throw ConfigError(
        cat(path_.string(), ": no checkpoint, and --resume required asks for one; name the run's own directory"));
  };
  const fs::path manifest = path_ / "manifest.json";
  if (setup.resume == Resume::kRequired && !fs::exists(manifest)) refuse_without_checkpoint();
  for (const char* name : {"rollouts", "evals", "checkpoints"}) make_folder(path_ / name);
  lock_ = std::make_unique<FileLock>(path_ / "LOCK");
  const bool has_run = fs::exists(manifest);
  if (has_run && setup.resume == Resume::kNever) {
    throw ConfigError(cat(
        path_.string(), ": holds a run already, and --resume never would mix another into it; name a fresh --run-dir"));
  }
  if (has_run) {
    reopen(setup);
  } else {
    start_fresh(setup);
  }
  if (setup.resume == Resume::kRequired && !checkpoint_) refuse_without_checkpoint();
  Json at_begin = {{"metrics_bytes", 0}, {"timing_bytes", 0}};
  const std::string state = checkpoint_ ? (*checkpoint_ / "state.json").string() : "";
  cut_back(checkpoint_ ? parse_json(read_file(state), state) : at_begin);
  if (has_run) {
    remove_leftovers(path_);
    write_file_atomic(path_ / "config.resolved.yaml", to_yaml(setup.config));
  }
  metrics_ = std::make_unique<AppendFile>(path_ / "metrics.jsonl");
  timing_ = std::make_unique<AppendFile>(path_ / "timing.jsonl");
  if (setup.tensorboard) {
    make_folder(path_ / "tensorboard");
    const double now = wall_time_s();
    events_ = std::make_unique<AppendFile>(path_ / "tensorboard" /
                                           cat("events.out.tfevents.", static_cast<int64_t>(now), ".", getpid()));
    events_->write(tensorboard_header_record(now));
  }
}

RunDir::~RunDir() { await_writer(); }

void RunDir::start_fresh(const Setup& setup) {
  write_file_atomic(path_ / "config.resolved.yaml", to_yaml(setup.config));
  Json manifest = setup.manifest;
  manifest["config"] = setup.config;
  write_file_atomic(path_ / "manifest.json", manifest.dump(2) + "\n");
}

void RunDir::reopen(const Setup& setup) {
  const std::string file = (path_ / "manifest.json").string();
  Json now = setup.manifest;
  now["config"] = setup.config;
  ResumeDifferences differences = compare_manifests(parse_json(read_file(file), file), now, setup.allowed, file);
  if (!differences.refused.empty()) {
    throw ConfigError(cat(path_.string(), ": made by another config; these differ: ", join(differences.refused, ", "),
                          "; name another --run-dir, or pass --allow ", join(differences.refused, " --allow "),
                          " to go on with what is new"));
  }
  warnings_ = std::move(differences.told);
  choose_checkpoint();
}

void RunDir::choose_checkpoint() {
  const FoundCheckpoint found = find_checkpoint(path_);
  warnings_.insert(warnings_.end(), found.damage.begin(), found.damage.end());
  checkpoint_ = found.path;
  check_any_whole(path_, found);
  try {
    mend_latest(path_, found);
  } catch (const IoError& e) {
    warnings_.push_back(e.what());
  }
}

Json RunDir::cursors() {
  flush();
  return Json{{"metrics_bytes", metrics_->size()}, {"timing_bytes", timing_->size()}};
}

// Lines that were written after the checkpoint belong to steps that will be done again.
void RunDir::cut_back(const Json& cursors) {
  const std::string where = path_.string() + ": cursors of the logs";
  cut_file(path_ / "metrics.jsonl", static_cast<uint64_t>(json_int(cursors, "metrics_bytes", where)));
  cut_file(path_ / "timing.jsonl", static_cast<uint64_t>(json_int(cursors, "timing_bytes", where)));
}

void RunDir::flush() {
  append_waiting(*metrics_, waiting_metrics_);
  append_waiting(*timing_, waiting_timing_);
}

std::optional<std::string> RunDir::log(int64_t step, Metrics metrics, const Metrics& timing) {
  int64_t num_non_finite = 0;
  for (const auto& [name, value] : metrics.items()) num_non_finite += !std::isfinite(value);
  if (num_non_finite > 0) metrics.set("log/non_finite", static_cast<double>(num_non_finite));
  waiting_metrics_ += jsonl_record(step, metrics);
  waiting_timing_ += jsonl_record(step, timing);
  try {
    flush();
    if (!events_) return std::nullopt;
    std::vector<std::pair<std::string, double>> scalars = metrics.items();
    scalars.insert(scalars.end(), timing.items().begin(), timing.items().end());
    events_->write(tensorboard_scalar_record(wall_time_s(), step, scalars));
    return std::nullopt;
  } catch (const IoError& e) {
    return e.what();
  }
}

void RunDir::write_rollouts(int64_t step, const std::vector<TrajectoryGroup>& groups,
                            const std::vector<std::string>& component_names) {
  std::string text;
  for (const TrajectoryGroup& group : groups) text += dump_json(to_json(group, component_names)) + "\n";
  write_file_atomic(path_ / "rollouts" / (step_name(step) + ".jsonl"), text);
}

void RunDir::write_evals(int64_t step, const std::string& name, const std::vector<TrajectoryGroup>& groups,
                         const std::vector<std::string>& component_names) {
  std::string text;
  for (const TrajectoryGroup& group : groups) text += dump_json(to_json(group, component_names)) + "\n";
  write_file_atomic(path_ / "evals" / cat(step_name(step), ".", name, ".jsonl"), text);
}

void RunDir::save(int64_t step, std::vector<NamedBytes> files, Json state, const Retention& retention) {
  begin_save(step, std::move(files), std::move(state), retention);
  finish_save();
}

void RunDir::begin_save(int64_t step, std::vector<NamedBytes> files, Json state, const Retention& retention) {
  finish_save();
  state["step"] = step;
  state.update(cursors());
  files.push_back({"state.json", state.dump(2) + "\n"});
  // `deferred` is for a process that may have no more threads: finish_save() writes then.
  saving_ = std::async(
      std::launch::async | std::launch::deferred, [this, step, retention, taken = std::move(files)]() mutable {
        const std::vector<NamedBytes> written = std::move(taken);  // freed when all is written, not with the future
        metrics_->sync();  // the cursors must not be beyond the files' ends after a power cut
        timing_->sync();
        return write_checkpoint(path_, step, written, retention);
      });
}

bool RunDir::is_saving() const {
  return saving_.valid() && saving_.wait_for(std::chrono::seconds(0)) == std::future_status::timeout;
}

void RunDir::finish_save() {
  if (saving_.valid()) checkpoint_ = saving_.get();
}

void RunDir::await_writer() const {
  if (saving_.valid()) saving_.wait();
}

void RunDir::check_space(const std::vector<NamedBytes>& files, const Retention& retention) const {
  await_writer();
  uint64_t bytes = 0;
  for (const NamedBytes& file : files) bytes += file.bytes.size();
  const auto num_there = static_cast<int64_t>(checkpoint_names(path_).size());
  const auto num_to_come = static_cast<uint64_t>(std::max<int64_t>(retention.keep_last + 1 - num_there, 1));
  const uint64_t available = fs::space(path_).available;
  if (available >= bytes * num_to_come) return;
  throw IoError(cat(path_.string(), ": ", gigabytes(static_cast<double>(available)), " free on this disk, want ",
                    gigabytes(static_cast<double>(bytes * num_to_come)), " for ", num_to_come, " checkpoints of ",
                    gigabytes(static_cast<double>(bytes)), "; make room, or lower train.keep_last"));
}

void RunDir::forget_from(int64_t step) {
  await_writer();
  const fs::path folder = path_ / "checkpoints";
  const std::vector<std::string> names = checkpoint_names(path_);
  const auto older = std::find_if(names.begin(), names.end(),
                                  [&](const std::string& name) { return step_of(name) < step && !is_replaced(name); });
  if (older == names.end()) return;
  verify_dir(folder / *older);
  write_latest(path_, *older, sha256_file(folder / *older / "MANIFEST.json"));
  checkpoint_ = folder / *older;
  for (auto name = names.begin(); name != older; ++name) fs::remove_all(folder / *name);
}

}  // namespace noregret
