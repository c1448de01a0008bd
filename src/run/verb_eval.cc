#include <unistd.h>

#include <cstdio>

#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/run/evaluator.h"
#include "noregret/run/experiment.h"
#include "noregret/run/reporter.h"
#include "noregret/run/signals.h"
#include "noregret/tensor/device.h"
#include "run/filter.h"
#include "run/preflight.h"
#include "run/verbs.h"

namespace noregret {
namespace {

Policy policy_to_evaluate(const RunConfig& config, const std::string& adapter, at::Device device) {
  if (adapter.empty()) return load_policy(config, device);
  return load_policy_from(config.model.path, adapter == "none" ? "" : adapter, device);
}

}  // namespace

ExitCode run_eval(const EvalArgs& args, const RewardHost& host) {
  RunConfig config = load_run_config(args.config, args.set);
  if (args.samples) config.eval.samples = *args.samples;
  if (args.temperature) config.eval.temperature = *args.temperature;
  if (args.limit) config.eval.limit = *args.limit;
  set_num_threads(static_cast<int>(config.threads));
  const at::Device device = parse_device(config.device);
  const Inputs inputs = load_inputs(config, host);
  if (!args.output.empty() && !fs::is_directory(fs::absolute(args.output).parent_path())) {
    throw IoError(cat("--output ", args.output, ": its folder does not exist; make it or name another"));
  }
  const Policy policy = policy_to_evaluate(config, args.adapter, device);
  print_warning(policy.warning);
  check_vocabulary(inputs.tokenizer, policy.model.config(), args.adapter.empty() ? config.model.path : args.adapter);
  const Evaluator evaluator(rollout_context(inputs, policy, config.seed), config.eval, config.rollout.max_new_tokens,
                            max_batch_of(config.rollout, device.is_cuda()));

  Reporter reporter(isatty(STDERR_FILENO) != 0);
  SignalGuard signals;
  const std::vector<Evaluation> done =
      evaluator.run(policy.stack(), [&](const std::string& phase, int64_t finished, int64_t total) {
        signals.check();
        reporter.status(cat("evaluation: ", phase, " ", finished, "/", total));
      });
  reporter.clear_status();
  for (const std::string& note : inputs.tasks->notes()) reporter.line(note);  // the evaluator wants a task
  if (!args.output.empty()) {
    std::string lines;
    for (const Evaluation& evaluation : done) {
      for (const TrajectoryGroup& group : evaluation.groups) {
        Json line = to_json(group, inputs.rubric->component_names());
        line["evaluation"] = evaluation.name;
        lines += dump_json(line) + "\n";
      }
    }
    write_file_atomic(args.output, lines);
  }
  if (args.json) {
    Json result = Json::object();
    const Metrics metrics = evaluation_metrics(done);
    for (const auto& [name, value] : metrics.items()) result[name] = value;
    std::printf("%s\n", dump_json(result).c_str());
  } else {
    std::printf("%s\n", evaluation_text(done).c_str());
  }
  return ExitCode::kOk;
}

}  // namespace noregret
