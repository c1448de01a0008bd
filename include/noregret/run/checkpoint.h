#pragma once

#include <filesystem>
#include <vector>

#include "noregret/config/run_config.h"
#include "noregret/run/experiment.h"
#include "noregret/run/run_dir.h"
#include "noregret/train/adam.h"

namespace noregret {

// What a checkpoint holds besides state.json. With an adapter: adapter_model.safetensors, adapter_config.json (PEFT).
// Full fine-tuning: model.safetensors in f32, config.json, generation_config.json and the tokenizer's files, a Hugging
// Face folder. Both: optimizer.safetensors.
std::vector<NamedBytes> checkpoint_files(const RunConfig& config, const Policy& policy, const Adam& optimizer);

// Puts a checkpoint's values into the policy and the optimizer. Exact names and shapes. Throws DataError.
void restore_checkpoint(const std::filesystem::path& checkpoint, Policy& policy, Adam& optimizer);

// tokenizer.json and what belongs to it, as they lie in a model folder.
std::vector<NamedBytes> tokenizer_files(const std::filesystem::path& model_dir);

}  // namespace noregret
