#include "noregret/format/peft_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "format/key_reader.h"
#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr int64_t kMaxRank = int64_t{1} << 20;

// Keys that PEFT 0.21 writes and that change nothing in what an adapter computes once it is loaded.
constexpr std::array<const char*, 14> kHarmless = {"auto_mapping",   "base_model_name_or_path",
                                                   "inference_mode", "layers_pattern",
                                                   "lora_dropout",   "megatron_core",
                                                   "peft_version",   "qalora_group_size",
                                                   "revision",       "runtime_config",
                                                   "eva_config",     "loftq_config",
                                                   "lora_ga_config", "corda_config"};

// Keys that are read below.
constexpr std::array<const char*, 10> kRead = {
    "peft_type",     "task_type",        "r", "lora_alpha", "use_rslora", "bias", "target_modules", "rank_pattern",
    "alpha_pattern", "init_lora_weights"};

template <size_t N>
bool is_in(const std::array<const char*, N>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(), [&](const char* known) { return name == known; });
}

// null, false, "", [] and {}: an option that is off.
bool is_off(const Json& value) {
  return value.is_null() || value == false || (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (value.is_structured() && value.empty());
}

// An option that is not known here may change what the adapter computes, unless it is off.
void check_options(const KeyReader& config) {
  for (const auto& [key, value] : config.object().items()) {
    if (is_in(kHarmless, key) || is_in(kRead, key) || is_off(value)) continue;
    config.fail(key, cat("is ", json_excerpt(value),
                         ", which may change what the adapter computes and is not supported; want it off or absent"));
  }
}

void check_kind(const KeyReader& config) {
  if (config.string("peft_type") != "LORA") {
    config.fail("peft_type", cat("is ", quoted(config.string("peft_type")), ", want 'LORA'; no other is supported"));
  }
  if (config.has("task_type") && config.string("task_type") != "CAUSAL_LM") {
    config.fail("task_type", cat("is ", quoted(config.string("task_type")), ", want 'CAUSAL_LM'"));
  }
  if (config.has("bias") && config.string("bias") != "none") {
    config.fail("bias", cat("is ", quoted(config.string("bias")), ", want 'none'; biases are not supported"));
  }
  // PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA start by changing the base weights; these others do not.
  constexpr std::array<const char*, 3> kBaseKept = {"gaussian", "eva", "orthogonal"};
  const bool has_init = config.has("init_lora_weights") && config.at("init_lora_weights").is_string();
  if (has_init && !is_in(kBaseKept, config.string("init_lora_weights"))) {
    config.fail("init_lora_weights", cat("is ", quoted(config.string("init_lora_weights")),
                                         ", which may change the base weights; convert the adapter to a plain LoRA"));
  }
}

std::vector<std::string> read_targets(const KeyReader& config) {
  const Json& targets = config.at("target_modules");
  if (!targets.is_array() || targets.empty()) {
    config.fail("target_modules", cat("is ", targets.is_string() ? json_excerpt(targets) : "no list or empty",
                                      ", want a list of module names; patterns are not supported"));
  }
  std::vector<std::string> names;
  for (const Json& target : targets) {
    if (!target.is_string()) config.fail("target_modules", cat("holds ", json_excerpt(target), ", want names"));
    names.push_back(target.get<std::string>());
  }
  return names;
}

// A reader of an object of numbers by module name; `read` takes reader and key.
template <class T, class Read>
std::map<std::string, T> read_pattern(const KeyReader& config, const char* key, const Read& read) {
  std::map<std::string, T> values;
  if (!config.has(key)) return values;
  const KeyReader pattern(config.at(key), cat(config.where(), ": ", key));
  for (const auto& [name, value] : pattern.object().items()) values[name] = read(pattern, name.c_str());
  return values;
}

// PEFT and servers declare alpha as an integer.
Json alpha_json(double alpha) {
  const bool is_integer = std::floor(alpha) == alpha && std::abs(alpha) < 1e15;
  return is_integer ? Json(static_cast<int64_t>(alpha)) : Json(alpha);
}

}  // namespace

PeftConfig parse_peft_config(std::string_view json, std::string_view where) {
  const Json object = parse_json(json, where);
  const KeyReader config(object, std::string(where));
  check_kind(config);
  check_options(config);
  const auto rank = [](const KeyReader& reader, const char* key) { return reader.integer(key, 1, kMaxRank); };
  const auto alpha = [](const KeyReader& reader, const char* key) { return reader.positive(key); };
  PeftConfig result;
  if (config.has("base_model_name_or_path")) result.base_model = config.string("base_model_name_or_path");
  result.rank = rank(config, "r");
  result.alpha = alpha(config, "lora_alpha");
  result.use_rslora = config.boolean_or("use_rslora", false);
  result.target_modules = read_targets(config);
  result.rank_pattern = read_pattern<int64_t>(config, "rank_pattern", rank);
  result.alpha_pattern = read_pattern<double>(config, "alpha_pattern", alpha);
  return result;
}

std::string write_peft_config(const PeftConfig& config) {
  // Which rank an alpha of a pattern meets is known to the loader alone.
  const bool has_patterns = !config.rank_pattern.empty() || !config.alpha_pattern.empty();
  NOREGRET_CHECK(!config.use_rslora || !has_patterns, "an rsLoRA config with patterns must be resolved by layer");
  const double root = config.use_rslora ? std::sqrt(static_cast<double>(config.rank)) : 1.0;
  NOREGRET_CHECK(std::isfinite(config.alpha) && config.alpha > 0 && config.rank >= 1, config.alpha, " ", config.rank);
  Json json = Json::object();
  json["alpha_pattern"] = Json::object();
  for (const auto& [name, alpha] : config.alpha_pattern) json["alpha_pattern"][name] = alpha_json(alpha);
  json["auto_mapping"] = nullptr;
  json["base_model_name_or_path"] = config.base_model;
  json["bias"] = "none";
  json["fan_in_fan_out"] = false;
  json["inference_mode"] = true;
  json["init_lora_weights"] = true;
  json["layers_pattern"] = nullptr;
  json["layers_to_transform"] = nullptr;
  json["lora_alpha"] = alpha_json(config.alpha * root);
  json["lora_dropout"] = 0.0;
  json["modules_to_save"] = nullptr;
  json["peft_type"] = "LORA";
  json["r"] = config.rank;
  json["rank_pattern"] = Json::object();
  for (const auto& [name, rank] : config.rank_pattern) json["rank_pattern"][name] = rank;
  json["revision"] = nullptr;
  json["target_modules"] = config.target_modules;
  json["task_type"] = "CAUSAL_LM";
  json["use_dora"] = false;
  json["use_rslora"] = false;
  return json.dump(2) + "\n";
}

}  // namespace noregret
