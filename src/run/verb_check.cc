#include <cstdio>

#include "noregret/base/text.h"
#include "noregret/config/yaml.h"
#include "noregret/run/experiment.h"
#include "noregret/tensor/device.h"
#include "noregret/train/lr_law.h"
#include "run/filter.h"
#include "run/preflight.h"
#include "run/verbs.h"

namespace noregret {

ExitCode run_check(const std::string& config_path, const std::vector<std::string>& set, const RewardHost& host) {
  const RunConfig config = load_run_config(config_path, set);
  const Inputs inputs = load_inputs(config, host);
  if (config.adapter && !config.adapter->init_from.empty())
    print_warning(resolve_artefact(config.adapter->init_from).warning);
  check_inputs(config, inputs);
  parse_device(config.device);
  if (inputs.tasks) {
    for (const std::string& note : inputs.tasks->notes()) std::fprintf(stderr, "%s\n", note.c_str());
  }
  LrLawInput law;
  law.hidden_size = inputs.hf.hidden_size;
  if (config.adapter) law.lora_alpha = config.adapter->alpha;
  law.is_rl = config.mode == "rl";
  law.num_steps = config.train.steps;
  std::fprintf(stderr, "learning rate %s\n", resolve_lr(config.optimizer.lr, law).explanation.c_str());
  std::fprintf(stderr, "chat template %s, context %lld tokens\n", inputs.chat.name().c_str(),
               static_cast<long long>(inputs.hf.max_positions));
  std::printf("%s", to_yaml(write_fields(config)).c_str());
  return ExitCode::kOk;
}

}  // namespace noregret
