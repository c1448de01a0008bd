#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "noregret/base/text.h"
#include "noregret/config/yaml.h"
#include "noregret/run/trainer.h"
#include "noregret/tensor/device.h"
#include "run/checkpoint_store.h"
#include "run/filter.h"
#include "run/manifest.h"
#include "run/verbs.h"

namespace noregret {
namespace {

// A folder of this process, gone afterwards.
class ReplayFolder {
 public:
  ReplayFolder() : path_(fs::temp_directory_path() / cat("noregret-replay-", getpid())) {
    fs::remove_all(path_);
    fs::create_directories(path_ / "checkpoints");
  }
  ~ReplayFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  ReplayFolder(const ReplayFolder&) = delete;
  ReplayFolder& operator=(const ReplayFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// The line of a step. Throws DataError.
Json metrics_of_step(const fs::path& run, int64_t step) {
  const std::string file = (run / "metrics.jsonl").string();
  std::istringstream lines(read_file(file));
  int64_t last = 0;
  for (std::string line; std::getline(lines, line);) {
    Json record = parse_json(line, file);
    last = json_int(record, "step", file);
    if (last == step) return record;
  }
  throw DataError(cat(file, ": holds no step ", step, "; the last one is ", last));
}

// What the run wrote up to the newest checkpoint before the step, as a run directory to go on from. Without such a
// checkpoint the run begins anew. Returns one line on newer ones that are damaged, or "". Throws DataError.
std::string copy_run_before(const fs::path& run, int64_t step, const fs::path& to) {
  for (const char* name : {"manifest.json", "metrics.jsonl", "timing.jsonl"}) fs::copy_file(run / name, to / name);
  const FoundCheckpoint found = find_checkpoint(run, step);
  check_any_whole(run, found);
  if (found.path) {
    fs::copy(*found.path, to / "checkpoints" / found.path->filename(), fs::copy_options::recursive);
  }
  return damage_text(found);
}

std::vector<std::string> differences_of_metrics(const fs::path& run, const fs::path& again, int64_t step) {
  const Json before = metrics_of_step(run, step);
  const Json now = metrics_of_step(again, step);
  std::vector<std::string> differences;
  for (const auto& [key, value] : before.items()) {
    const std::string other = now.contains(key) ? dump_json(now[key]) : "absent";
    if (dump_json(value) != other) differences.push_back(cat(key, " was ", dump_json(value), ", is ", other));
  }
  for (const auto& [key, value] : now.items()) {
    if (!before.contains(key)) differences.push_back(cat(key, " was absent, is ", dump_json(value)));
  }
  return differences;
}

// Names of the files that both have and that differ; what both have is added to `compared`.
void compare_files(const fs::path& run, const fs::path& again, int64_t step, std::vector<std::string>& compared,
                   std::vector<std::string>& differences) {
  const fs::path checkpoint = fs::path("checkpoints") / step_name(step);
  for (const fs::path& file :
       {fs::path("rollouts") / (step_name(step) + ".jsonl"), checkpoint / "adapter_model.safetensors",
        checkpoint / "model.safetensors", checkpoint / "optimizer.safetensors"}) {
    if (!fs::exists(run / file) || !fs::exists(again / file)) continue;
    compared.push_back(file.string());
    if (sha256_file(run / file) != sha256_file(again / file)) differences.push_back(file.string());
  }
}

}  // namespace

ExitCode run_replay(const ReplayArgs& args, const RewardHost& host) {
  const fs::path run = args.run;
  if (!fs::exists(run / "manifest.json")) throw DataError(cat(args.run, ": is no run directory (no manifest.json)"));
  const Json line = metrics_of_step(run, args.step);
  RunConfig config = read_run_config(load_yaml(run / "config.resolved.yaml"));
  if (args.threads) config.threads = *args.threads;
  const auto of_run = write_fields(config);
  config.train.save_every = 0;
  config.optimizer.lr = dump_json(json_at(line, "optim/lr", args.run));  // another since, perhaps
  config.log.samples_every = 0;
  umask(S_IRWXG | S_IRWXO);  // the copy is as private as the run
  SignalGuard signals;
  set_num_threads(static_cast<int>(config.threads));
  const at::Device device = parse_device(config.device);
  const Inputs inputs = load_inputs(config, host);
  Policy policy = load_policy(config, device);

  const ReplayFolder folder;
  print_warning(policy.warning);
  print_warning(copy_run_before(run, args.step, folder.path()));
  RunDir again({.path = folder.path(),
                .config = of_run,
                .manifest = make_manifest(config, inputs, policy, device_name(device)),
                .tensorboard = false});
  Reporter reporter(isatty(STDERR_FILENO) != 0);
  for (const std::string& warning : again.warnings()) reporter.warn(warning);
  Trainer({.config = &config,
           .inputs = &inputs,
           .policy = &policy,
           .run_dir = &again,
           .reporter = &reporter,
           .signals = &signals,
           .last_step = args.step})
      .run();

  std::vector<std::string> compared = {"metrics"};
  std::vector<std::string> differences = differences_of_metrics(run, folder.path(), args.step);
  compare_files(run, folder.path(), args.step, compared, differences);
  if (!differences.empty()) {
    throw ExactnessError(cat("step ", args.step, " came out differently: ", join(differences, "; "),
                             "; a reward that is not deterministic, another build or another machine may be why"));
  }
  std::printf("step %lld is identical: %s\n", static_cast<long long>(args.step), join(compared, ", ").c_str());
  return ExitCode::kOk;
}

}  // namespace noregret
