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

namespace noregret {
namespace {

constexpr const char* kReplaced = ".old";  // a checkpoint that waits for the new one of its step to be whole

// Keys that change no result: they may differ when a run goes on.
bool may_always_differ(const std::string& key) {
  for (const char* free : {"train.steps", "train.save_every", "train.keep_last", "log.", "eval."}) {
    if (key.rfind(free, 0) == 0) return true;
  }
  return false;
}

// Keys that change results by rounding only: they may differ, and are told.
bool may_differ_with_warning(const std::string& key) { return key == "threads"; }

std::string step_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step_%06lld", static_cast<long long>(step));
  return name;
}

bool is_replaced(const std::string& name) {
  return name.size() > 4 && name.compare(name.size() - 4, 4, kReplaced) == 0;
}

// The step in the name of a complete checkpoint: "step_" and digits, perhaps with kReplaced; else -1.
int64_t step_of(const std::string& name) {
  const std::string digits =
      name.rfind("step_", 0) == 0 ? name.substr(5, name.size() - 5 - (is_replaced(name) ? 4 : 0)) : "";
  const bool is_step =
      digits.size() >= 6 && digits.size() <= 18 && digits.find_first_not_of("0123456789") == std::string::npos;
  return is_step ? std::stoll(digits) : -1;
}

// Newest first.
std::vector<std::string> checkpoint_names(const fs::path& dir) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    if (step_of(name) >= 0 && entry.is_directory()) names.push_back(name);
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(step_of(a), is_replaced(b)) > std::pair(step_of(b), is_replaced(a));
  });
  return names;
}

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

// What a signal or a full disk stops half-way must not cost the checkpoint that is there.
void set_aside(const fs::path& checkpoint) {
  std::error_code error;
  fs::remove_all(checkpoint.string() + kReplaced, error);
  if (!error) fs::rename(checkpoint, checkpoint.string() + kReplaced, error);
  if (error) throw IoError(cat(checkpoint.string(), ": cannot move it aside for a new one: ", error.message()));
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
  cut_logs_back();
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

RunDir::~RunDir() = default;

void RunDir::start_fresh(const Setup& setup) {
  write_file_atomic(path_ / "config.resolved.yaml", to_yaml(setup.config));
  Json manifest = setup.manifest;
  manifest["config"] = setup.config;
  write_file_atomic(path_ / "manifest.json", manifest.dump(2) + "\n");
}

void RunDir::reopen(const Setup& setup) {
  const std::string file = (path_ / "manifest.json").string();
  const Json manifest = parse_json(read_file(file), file);
  std::vector<std::string> refused;
  const auto compare = [&](const std::string& key) {
    const bool is_allowed = std::find(setup.allowed.begin(), setup.allowed.end(), key) != setup.allowed.end();
    if (is_allowed) {
      warnings_.push_back(cat("--allow ", key, ": it differs from the run's first start"));
    } else if (may_differ_with_warning(key)) {
      warnings_.push_back(cat(key, " differs from the run's first start; sums may round otherwise"));
    } else if (!may_always_differ(key)) {
      refused.push_back(key);
    }
  };
  for (const std::string& key : differing_keys(json_at(manifest, "config", file), setup.config)) compare(key);
  for (const auto& [key, value] : setup.manifest.items()) {
    if (key.rfind("sha256", 0) != 0) continue;
    for (const std::string& name : differing_keys(manifest.contains(key) ? manifest[key] : Json(), value)) {
      compare(name.empty() ? key : cat(key, ".", name));
    }
  }
  if (!refused.empty()) {
    throw ConfigError(cat(path_.string(), ": made by another config; these differ: ", join(refused, ", "),
                          "; name another --run-dir, or pass --allow ", refused.front(),
                          " to go on with the new value"));
  }
  find_checkpoint();
}

void RunDir::find_checkpoint() {
  const std::vector<std::string> names = checkpoint_names(path_ / "checkpoints");
  std::string newest_damage;
  for (const std::string& name : names) {
    const fs::path dir = path_ / "checkpoints" / name;
    try {
      verify_dir(dir);
      checkpoint_ = dir;
      return;
    } catch (const DataError& e) {
      if (newest_damage.empty()) newest_damage = e.what();
      warnings_.push_back(cat(e.what(), "; going back to an older checkpoint"));
    }
  }
  if (names.empty()) return;
  throw DataError(
      cat(path_.string(), ": none of its ", names.size(), " checkpoints is whole; the newest: ", newest_damage));
}

// Lines that were written after the checkpoint belong to steps that will be done again.
void RunDir::cut_logs_back() {
  uint64_t metrics_bytes = 0;
  uint64_t timing_bytes = 0;
  if (checkpoint_) {
    const std::string file = (*checkpoint_ / "state.json").string();
    const Json state = parse_json(read_file(file), file);
    metrics_bytes = static_cast<uint64_t>(json_int(state, "metrics_bytes", file));
    timing_bytes = static_cast<uint64_t>(json_int(state, "timing_bytes", file));
  }
  cut_file(path_ / "metrics.jsonl", metrics_bytes);
  cut_file(path_ / "timing.jsonl", timing_bytes);
}

void RunDir::log(int64_t step, Metrics metrics, const Metrics& timing) {
  int64_t num_non_finite = 0;
  for (const auto& [name, value] : metrics.items()) num_non_finite += !std::isfinite(value);
  if (num_non_finite > 0) metrics.set("log/non_finite", static_cast<double>(num_non_finite));
  metrics_->write(jsonl_record(step, metrics));
  timing_->write(jsonl_record(step, timing));
  if (!events_) return;
  std::vector<std::pair<std::string, double>> scalars = metrics.items();
  scalars.insert(scalars.end(), timing.items().begin(), timing.items().end());
  events_->write(tensorboard_scalar_record(wall_time_s(), step, scalars));
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

void RunDir::save(int64_t step, const std::vector<NamedBytes>& files, Json state, int64_t keep_last) {
  state["step"] = step;
  state["metrics_bytes"] = metrics_->size();
  state["timing_bytes"] = timing_->size();
  const std::string name = step_name(step);
  const fs::path dir = path_ / "checkpoints" / name;
  metrics_->sync();  // the cursors must not be beyond the files' ends after a power cut
  timing_->sync();
  if (fs::exists(dir)) set_aside(dir);
  DirWriter writer(dir);
  for (const NamedBytes& file : files) writer.write(file.name, file.bytes);
  writer.write("state.json", state.dump(2) + "\n");
  const std::string manifest_sha256 = writer.commit();
  write_file_atomic(path_ / "LATEST", cat(name, " ", manifest_sha256, "\n"));
  checkpoint_ = dir;
  prune(keep_last, name);
}

void RunDir::forget_from(int64_t step) {
  const fs::path folder = path_ / "checkpoints";
  const std::vector<std::string> names = checkpoint_names(folder);
  const auto older = std::find_if(names.begin(), names.end(),
                                  [&](const std::string& name) { return step_of(name) < step && !is_replaced(name); });
  if (older == names.end()) return;
  verify_dir(folder / *older);
  write_file_atomic(path_ / "LATEST", cat(*older, " ", sha256_file(folder / *older / "MANIFEST.json"), "\n"));
  checkpoint_ = folder / *older;
  for (auto name = names.begin(); name != older; ++name) fs::remove_all(folder / *name);
}

void RunDir::prune(int64_t keep_last, const std::string& latest) {
  int64_t num_kept = 0;
  for (const std::string& name : checkpoint_names(path_ / "checkpoints")) {
    const bool is_kept = name == latest || (!is_replaced(name) && ++num_kept < keep_last);
    if (is_kept) continue;
    std::error_code error;  // a checkpoint that cannot be removed harms nobody
    fs::remove_all(path_ / "checkpoints" / name, error);
  }
}

}  // namespace noregret
