#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "noregret/config/run_config.h"
#include "noregret/nn/causal_lm.h"
#include "noregret/reward/rubric.h"
#include "noregret/rollout/env.h"
#include "noregret/rollout/rollouter.h"
#include "noregret/text/chat.h"
#include "noregret/text/tokenizer.h"

namespace noregret {

// What a config names besides weights: read and checked before anything expensive starts.
struct Inputs {
  HfConfig hf;
  Tokenizer tokenizer;
  ChatTemplate chat;
  std::unique_ptr<TaskSource> tasks;  // null in SFT from a file
  std::optional<Rubric> rubric;       // RL and evaluation
};
Inputs load_inputs(const RunConfig& config, const RewardHost& host);

// The base model and the adapter that is trained or applied.
struct Policy {
  CausalLm model;
  std::optional<Adapter> adapter;
  std::string warning = "";    // about the artefact that it was loaded from
  AdapterStack stack() const;  // empty without an adapter
  std::string digest() const;  // of what is trained: the adapter, or the whole model
};

// The start policy of a run: base + fresh adapter, base + adapter.init_from, or (full fine-tuning) the base.
Policy load_policy(const RunConfig& config, at::Device device);

// The policy that a finished artefact describes: a run folder, a checkpoint folder, a PEFT adapter or (full
// fine-tuning) a model folder, on the base `model_dir`. An empty `artefact` is the base alone.
Policy load_policy_from(const std::filesystem::path& model_dir, const std::filesystem::path& artefact,
                        at::Device device);

// The folder with the weights: `path` itself, or the newest whole checkpoint of a run folder, and one line on newer
// ones that are damaged, or "". Throws DataError.
struct Artefact {
  std::filesystem::path folder;
  std::string warning;
};
Artefact resolve_artefact(const std::filesystem::path& path);

RolloutContext rollout_context(const Inputs& inputs, const Policy& policy, uint64_t seed);

}  // namespace noregret
