#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace noregret {

// adapter_config.json of a PEFT LoRA adapter. scaling = alpha / rank, or alpha / sqrt(rank) where use_rslora was read.
struct PeftConfig {
  std::string base_model;  // base_model_name_or_path
  int64_t rank = 8;
  double alpha = 32.0;
  bool use_rslora = false;                      // read only; written as alpha * sqrt(rank), which wants empty patterns
  std::vector<std::string> target_modules;      // last components: "q_proj", ..., "lm_head"; or full names
  std::map<std::string, int64_t> rank_pattern;  // module name or suffix -> rank
  std::map<std::string, double> alpha_pattern;
};

// Refuses what would change the maths unseen: other peft_type, use_dora, bias != none, modules_to_save, a missing, zero
// or non-finite lora_alpha, rank < 1, fan_in_fan_out, layers_to_transform. Accepts missing optional keys. Throws
// DataError.
PeftConfig parse_peft_config(std::string_view json, std::string_view where);
std::string write_peft_config(const PeftConfig& config);

}  // namespace noregret
