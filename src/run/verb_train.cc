#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/run/trainer.h"
#include "noregret/tensor/device.h"
#include "run/manifest.h"
#include "run/preflight.h"
#include "run/size_text.h"
#include "run/verbs.h"

namespace noregret {
namespace {

RunDir::Resume resume_mode(const std::string& name) {
  if (name == "required") return RunDir::Resume::kRequired;
  return name == "never" ? RunDir::Resume::kNever : RunDir::Resume::kAuto;
}

std::string mean_text(const std::vector<double>& values, size_t begin, size_t end) {
  double sum = 0.0;
  for (size_t i = begin; i < end; ++i) sum += values[i];
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", sum / static_cast<double>(end - begin));
  return text;
}

// The last lines of a run: what was learned, and where it lies.
std::string summary_text(const RunSummary& summary, const RunConfig& config, const Policy& policy,
                         const RunDir& run_dir) {
  std::string text =
      cat("done: ", summary.steps, " steps of ", config.mode == "rl" ? "RL" : "SFT", ", ",
          policy.adapter ? cat("rank ", policy.adapter->config().rank, " adapter") : std::string("all weights"));
  const std::vector<double>& rewards = summary.rewards;
  if (rewards.size() >= 10) {
    text += cat("\nreward: ", mean_text(rewards, 0, 5), " over the first 5 steps, ",
                mean_text(rewards, rewards.size() - 5, rewards.size()), " over the last 5");
  }
  for (size_t i = 0; i < summary.before.size() && i < summary.after.size(); ++i) {
    const Evaluation& before = summary.before[i];
    const Evaluation& after = summary.after[i];
    const std::optional<Interval> change = accuracy_change(before, after);
    if (!change) continue;
    char numbers[160];
    std::snprintf(numbers, sizeof numbers, "%.3f before, %.3f after: change %+.3f [%+.3f, %+.3f]", before.avg.mean,
                  after.avg.mean, change->mean, change->low, change->high);
    text += cat("\n", before.name, " accuracy on ", before.accuracy.size(), " unseen problems: ", numbers);
    if (before.avg.mean == after.avg.mean)
      text += "\nwarning: the accuracy did not move at all; is the adapter trained and applied?";
  }
  text += cat("\nmemory: ", gigabytes(static_cast<double>(peak_memory_bytes(policy.model.device()))), " at the peak");
  if (summary.planned_bytes > 0) text += cat(", planned ", gigabytes(summary.planned_bytes));
  return text + cat("\nrun: ", run_dir.path().string(), "\nweights: ", run_dir.checkpoint()->string());
}

void tell_stall(const std::string& phase, double seconds, bool is_over) {
  std::fprintf(stderr, "%s: no progress for %.1f s in: %s%s\n", is_over ? "noregret" : "warning", seconds,
               phase.c_str(),
               is_over ? "; the last checkpoint is whole; raise train.stall_s if it only takes long" : "");
  if (is_over) std::_Exit(static_cast<int>(ExitCode::kInternal));
}

}  // namespace

ExitCode run_train(const TrainArgs& args, const RewardHost& host) {
  umask(S_IRWXG | S_IRWXO);  // a run holds prompts, answers and weights
  SignalGuard signals;
  RunConfig config = load_run_config(args.config, args.set);
  if (args.steps) config.train.steps = *args.steps;
  if (args.threads) config.threads = *args.threads;
  set_num_threads(static_cast<int>(config.threads));
  Watchdog watchdog(config.train.stall_s, tell_stall);
  watchdog.beat("reading the inputs");
  const at::Device device = parse_device(config.device);
  Inputs inputs = load_inputs(config, host);
  check_inputs(config, inputs);
  watchdog.beat("loading the model");
  Policy policy = load_policy(config, device);

  RunDir::Setup setup;
  setup.path = args.run_dir.empty() ? fs::path("runs") / fs::path(args.config).stem() : fs::path(args.run_dir);
  setup.config = write_fields(config);
  setup.manifest = make_manifest(config, inputs, policy, device_name(device));
  setup.resume = resume_mode(args.resume);
  setup.allowed = args.allow;
  setup.tensorboard = config.log.tensorboard;
  RunDir run_dir(setup);

  Reporter reporter(isatty(STDERR_FILENO) != 0);
  reporter.keep(run_dir.log_file());
  if (inputs.rubric) inputs.rubric->keep_output(run_dir.log_file());
  if (inputs.tasks) inputs.tasks->keep_output(run_dir.log_file());
  reporter.line(cat("noregret ", version_text(), " on ", device_name(device), ": ", args.config, " in ",
                    run_dir.path().string()));
  if (!policy.warning.empty()) reporter.warn(policy.warning);
  for (const std::string& warning : run_dir.warnings()) reporter.warn(warning);
  if (inputs.tasks) {
    for (const std::string& note : inputs.tasks->notes()) reporter.line(note);
  }

  Trainer trainer({&config, &inputs, &policy, &run_dir, &reporter, &signals, &watchdog});
  const RunSummary summary = trainer.run();
  signals.finish();
  reporter.line(summary_text(summary, config, policy, run_dir));
  return ExitCode::kOk;
}

}  // namespace noregret
