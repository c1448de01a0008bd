#include <algorithm>
#include <cstdio>

#include "noregret/base/text.h"
#include "noregret/config/yaml.h"
#include "noregret/rollout/batch_source.h"
#include "noregret/run/experiment.h"
#include "noregret/tensor/device.h"
#include "noregret/train/lr_law.h"
#include "run/verbs.h"

namespace noregret {
namespace {

// Every problem of the first few tasks must be renderable and fit into the context.
void check_tasks(const RunConfig& config, const Inputs& inputs) {
  if (!inputs.tasks) return;
  constexpr int64_t kNumTasks = 64;
  for (const Split split : {Split::kTrain, Split::kEval}) {
    const int64_t num_tasks = std::min(kNumTasks, inputs.tasks->size(split));
    for (int64_t i = 0; i < num_tasks; ++i) {
      const Task task = inputs.tasks->get(split, i);
      const auto num_ids =
          static_cast<int64_t>(encode_chat(inputs.tokenizer, inputs.chat, task.messages, true).ids.size());
      const int64_t need = num_ids + (config.mode == "rl" ? config.rollout.max_new_tokens : 0);
      if (need > inputs.hf.max_positions) {
        throw DataError(cat("task ", task.id, ": ", num_ids, " prompt tokens and rollout.max_new_tokens ",
                            config.rollout.max_new_tokens, " make ", need, ", the model's context is ",
                            inputs.hf.max_positions, "; lower rollout.max_new_tokens"));
      }
    }
  }
}

void check_data(const RunConfig& config, const Inputs& inputs) {
  if (config.mode != "sft") return;
  DatasetSource::Setup setup;
  setup.max_positions = inputs.hf.max_positions;
  setup.tokenizer = &inputs.tokenizer;
  setup.chat = &inputs.chat;
  setup.tasks = inputs.tasks.get();
  setup.data = config.data;
  setup.microbatch_tokens = config.train.microbatch_tokens;
  setup.seed = config.seed;
  DatasetSource(setup).next(1);
}

}  // namespace

ExitCode run_check(const std::string& config_path, const std::vector<std::string>& set,
                   const std::filesystem::path& plugin_dir) {
  const RunConfig config = load_run_config(config_path, set);
  const Inputs inputs = load_inputs(config, plugin_dir);
  if (config.adapter && !config.adapter->init_from.empty()) resolve_artefact(config.adapter->init_from);
  check_tasks(config, inputs);
  check_data(config, inputs);
  parse_device(config.device);
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
