#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "noregret/nn/adapter.h"

namespace noregret {

// PEFT's key of a site's tensor: "base_model.model.<site>.lora_A.weight"; `part` is "lora_A", "lora_B" or "base_layer".
std::string peft_key(std::string_view site_name, std::string_view part);

// Whether a name as PEFT's target_modules or patterns hold it means this site: the whole path or its last components.
bool names_site(std::string_view name, std::string_view site_name);

// Last components of the sites' names, each once, in order: q_proj ... lm_head.
std::vector<std::string> module_names(const std::vector<LinearSite>& sites);

}  // namespace noregret
