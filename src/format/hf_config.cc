#include "noregret/format/hf_config.h"

#include <algorithm>
#include <array>

#include "format/hf_rope.h"
#include "format/key_reader.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 24;

// Far beyond every published model; a damaged number must not become an allocation.
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxPositions = int64_t{1} << 24;
constexpr int64_t kMaxMatrix = int64_t{1} << 36;  // elements

void check_architecture(const KeyReader& config) {
  if (config.string("model_type") != "llama") {
    config.fail("model_type", cat("is ", quoted(config.string("model_type")), ", want 'llama'; no other is supported"));
  }
  if (config.has("architectures")) {
    const Json& names = config.at("architectures");
    if (!names.is_array() || names.size() != 1 || names[0] != "LlamaForCausalLM") {
      config.fail("architectures",
                  cat("is ", names.is_array() && names.size() == 1 ? json_excerpt(names[0]) : "no list of one",
                      ", want LlamaForCausalLM alone"));
    }
  }
  if (config.has("hidden_act") && config.string("hidden_act") != "silu") {
    config.fail("hidden_act", cat("is ", quoted(config.string("hidden_act")), ", want 'silu'; no other is supported"));
  }
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    if (config.boolean_or(key, false)) config.fail(key, "is true; linear layers with a bias are not supported");
  }
  if (config.has("quantization_config")) {
    config.fail("quantization_config", "is there; quantized weights are not supported, take the unquantized model");
  }
}

void read_sizes(const KeyReader& config, HfConfig& result) {
  result.hidden_size = config.integer("hidden_size", 1, kMaxWidth);
  result.intermediate_size = config.integer("intermediate_size", 1, kMaxWidth);
  result.num_layers = config.integer("num_hidden_layers", 1, kMaxLayers);
  result.num_heads = config.integer("num_attention_heads", 1, kMaxHeads);
  result.num_kv_heads =
      config.has("num_key_value_heads") ? config.integer("num_key_value_heads", 1, kMaxHeads) : result.num_heads;
  result.vocab_size = config.integer("vocab_size", 1, kMaxVocab);
  result.max_positions = config.integer("max_position_embeddings", 1, kMaxPositions);
  if (result.num_heads % result.num_kv_heads != 0) {
    config.fail("num_key_value_heads",
                cat("is ", result.num_kv_heads, ", which does not divide num_attention_heads ", result.num_heads));
  }
  if (config.has("head_dim")) {
    result.head_dim = config.integer("head_dim", 2, kMaxWidth);
  } else if (result.hidden_size % result.num_heads == 0) {
    result.head_dim = result.hidden_size / result.num_heads;
  } else {
    config.fail("head_dim", cat("is missing, and num_attention_heads ", result.num_heads,
                                " does not divide hidden_size ", result.hidden_size));
  }
  if (result.head_dim % 2 != 0) {
    config.fail("head_dim", cat("is ", result.head_dim, ", want an even number: rotation pairs its elements"));
  }
  const int64_t widest = std::max({result.intermediate_size, result.vocab_size, result.num_heads * result.head_dim});
  if (widest > kMaxMatrix / result.hidden_size) {
    config.fail("hidden_size", cat("is ", result.hidden_size, " and a layer ", widest,
                                   " wide: more elements than any model has, the file is damaged"));
  }
}

std::string read_dtype(const KeyReader& config) {
  std::string dtype = "float32";
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (config.has(key)) dtype = config.string(key);
    if (dtype != "float32" && dtype != "float16" && dtype != "bfloat16") {
      config.fail(key, cat("is ", quoted(dtype), ", want float32, float16 or bfloat16"));
    }
  }
  return dtype;
}

// An id or a list of ids; empty when absent.
std::vector<int64_t> read_token_ids(const KeyReader& config, const char* key, int64_t vocab_size) {
  std::vector<int64_t> ids;
  if (!config.has(key)) return ids;
  const Json& value = config.at(key);
  for (const Json& id : value.is_array() ? value : Json::array({value})) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(vocab_size)) {
      config.fail(key, cat("holds ", json_excerpt(id), ", want an id from 0 to ", vocab_size - 1));
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

int64_t read_bos(const KeyReader& config, int64_t vocab_size) {
  const std::vector<int64_t> ids = read_token_ids(config, "bos_token_id", vocab_size);
  if (ids.size() > 1) config.fail("bos_token_id", "is a list, want one id");
  return ids.empty() ? -1 : ids[0];
}

Json token_ids_json(const std::vector<int64_t>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? Json(ids[0]) : Json(ids);
}

Json bos_json(int64_t id) { return id < 0 ? Json(nullptr) : Json(id); }

}  // namespace

HfConfig parse_hf_config(std::string_view config_json, std::string_view generation_config_json,
                         std::string_view where) {
  const std::string config_where = cat(where, "/config.json");
  const Json config_object = parse_json(config_json, config_where);
  const KeyReader config(config_object, config_where);
  check_architecture(config);
  HfConfig result;
  read_sizes(config, result);
  result.rms_norm_eps = config.positive("rms_norm_eps");
  if (result.rms_norm_eps >= 1.0) config.fail("rms_norm_eps", cat("is ", result.rms_norm_eps, ", want less than 1"));
  result.tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  result.dtype = read_dtype(config);
  result.rope = read_rope(config);
  result.eos_token_ids = read_token_ids(config, "eos_token_id", result.vocab_size);
  result.bos_token_id = read_bos(config, result.vocab_size);
  if (generation_config_json.empty()) return result;

  const std::string generation_where = cat(where, "/generation_config.json");
  const Json generation_object = parse_json(generation_config_json, generation_where);
  const KeyReader generation(generation_object, generation_where);
  if (generation.has("eos_token_id")) {
    result.eos_token_ids = read_token_ids(generation, "eos_token_id", result.vocab_size);
  }
  if (result.bos_token_id < 0) result.bos_token_id = read_bos(generation, result.vocab_size);
  return result;
}

HfConfig read_hf_config(const std::filesystem::path& model_dir) {
  std::error_code error;
  if (!fs::is_directory(model_dir, error)) {
    throw DataError(cat(model_dir.string(), ": no such folder; name the folder of a model, with its config.json"));
  }
  const fs::path generation = model_dir / "generation_config.json";
  return parse_hf_config(read_file(model_dir / "config.json", kMaxConfigBytes),
                         fs::exists(generation, error) ? read_file(generation, kMaxConfigBytes) : "",
                         model_dir.string());
}

std::string write_hf_config(const HfConfig& config) {
  Json json = Json::object();
  json["architectures"] = {"LlamaForCausalLM"};
  json["attention_bias"] = false;
  json["attention_dropout"] = 0.0;
  json["bos_token_id"] = bos_json(config.bos_token_id);
  json["eos_token_id"] = token_ids_json(config.eos_token_ids);
  json["head_dim"] = config.head_dim;
  json["hidden_act"] = "silu";
  json["hidden_size"] = config.hidden_size;
  json["intermediate_size"] = config.intermediate_size;
  json["max_position_embeddings"] = config.max_positions;
  json["mlp_bias"] = false;
  json["model_type"] = config.model_type;
  json["num_attention_heads"] = config.num_heads;
  json["num_hidden_layers"] = config.num_layers;
  json["num_key_value_heads"] = config.num_kv_heads;
  json["rms_norm_eps"] = config.rms_norm_eps;
  write_rope(config.rope, json);
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  json["torch_dtype"] = config.dtype;
  json["use_cache"] = true;
  json["vocab_size"] = config.vocab_size;
  return json.dump(2) + "\n";
}

std::string write_generation_config(const HfConfig& config) {
  Json json = Json::object();
  json["bos_token_id"] = bos_json(config.bos_token_id);
  json["eos_token_id"] = token_ids_json(config.eos_token_ids);
  return json.dump(2) + "\n";
}

}  // namespace noregret
