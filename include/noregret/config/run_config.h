#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/fields.h"
#include "noregret/config/run_options.h"
#include "noregret/nn/adapter_options.h"
#include "noregret/objective/objective_options.h"
#include "noregret/reward/reward_options.h"
#include "noregret/rollout/data_options.h"
#include "noregret/rollout/rollout_options.h"
#include "noregret/train/train_options.h"

namespace noregret {

// A whole experiment: one YAML file.
struct RunConfig {
  using HasFieldsTag = void;
  std::string mode = "rl";
  uint64_t seed = 1;
  std::string device = "auto";
  int64_t threads = 0;
  ModelOptions model;
  std::optional<AdapterOptions> adapter = AdapterOptions{};
  Node task;
  DataOptions data;
  RolloutOptions rollout;
  std::vector<RewardOptions> rewards;
  ObjectiveOptions objective;
  OptimizerOptions optimizer;
  TrainOptions train;
  EvalOptions eval;
  LogOptions log;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("mode", mode, OneOf{"rl", "sft"}, "reinforcement learning on rewards, or supervised fine-tuning on completions");
    v("seed", seed, "of every random stream");
    v("device", device, OneOf{"auto", "cpu", "cuda"}, "auto = the GPU where one is visible");
    v("threads", threads, Range{0, 1024}, "CPU threads; 0 = one a core");
    v("model", model, "the base model");
    v("adapter", adapter, "what is trained; `adapter: none` = full fine-tuning");
    v("task", task, "name of a task and its own options");
    v("data", data, "SFT examples");
    v("rollout", rollout, "sampling in RL");
    v("rewards", rewards, "plugins whose weighted sum is the reward");
    v("objective", objective, "the loss");
    v("optimizer", optimizer, "Adam");
    v("train", train, "steps, microbatches, checkpoints");
    v("eval", eval, "held-out evaluation");
    v("log", log, "what is printed and kept");
  }
};

// Compiled once, in run_config.cc: a compiler takes half a minute for all those fields.
extern template Json write_fields(RunConfig);

// Reads a config file, applies `--set` assignments, makes paths absolute (values of keys `path`, `*_path`, `init_from`,
// and plugins that hold a slash: relative to the file, in --set to the working directory), fills in defaults and checks
// what no single field can. Throws ConfigError with file:line:column.
RunConfig load_run_config(const std::filesystem::path& path, const std::vector<std::string>& assignments);

// The same from a resolved config as write_fields gave it (a run directory's config.resolved.yaml).
RunConfig read_run_config(const Node& root);

// Dotted keys whose values differ, in the order of `a`: "optimizer.lr", "rewards[1].weight".
std::vector<std::string> differing_keys(const Json& a, const Json& b);

}  // namespace noregret
