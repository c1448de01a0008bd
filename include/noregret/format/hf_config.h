#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "noregret/base/json.h"

namespace noregret {

// How rotary frequencies are scaled. inv_freq_i = theta^(-2i/head_dim), then per type (transformers
// modeling_rope_utils):
//   kDefault  as it is                 kLinear  / factor
//   kDynamic  as it is up to original_max_positions; longer sequences are refused
//   kLlama3   by wavelength: low_freq_factor, high_freq_factor, original_max_positions
//   kYarn     ramp between beta_fast and beta_slow; cos and sin times attention_factor
struct RopeOptions {
  enum class Type { kDefault, kLinear, kDynamic, kLlama3, kYarn };
  Type type = Type::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_positions = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double attention_factor = 0.0;  // 0 = 0.1 ln(factor) + 1

  bool operator==(const RopeOptions&) const = default;
};

// The keys of a Hugging Face config.json that change the maths. Only model_type "llama" is known.
struct HfConfig {
  std::string model_type = "llama";
  int64_t hidden_size = 0;  // D
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;     // L
  int64_t num_heads = 0;      // H
  int64_t num_kv_heads = 0;   // K, divides H
  int64_t head_dim = 0;       // even
  int64_t vocab_size = 0;     // V
  int64_t max_positions = 0;  // context length in tokens
  double rms_norm_eps = 1e-5;
  bool tie_word_embeddings = false;
  std::string dtype = "float32";  // of the weights on disk: float32, float16, bfloat16
  RopeOptions rope;
  std::vector<int64_t> eos_token_ids;  // generation_config.json wins over config.json
  int64_t bos_token_id = -1;           // -1 = none
};

// Reads and checks config.json (v4 keys rope_theta/rope_scaling/torch_dtype, v5 keys rope_parameters/dtype) and
// generation_config.json where it is. Refuses by name: other model types, attention_bias, mlp_bias, other hidden_act,
// unknown rope types, sizes that do not fit. Throws DataError.
HfConfig read_hf_config(const std::filesystem::path& model_dir);
HfConfig parse_hf_config(std::string_view config_json, std::string_view generation_config_json, std::string_view where);

// config.json of a LlamaForCausalLM that transformers 4 and 5 both load.
std::string write_hf_config(const HfConfig& config);
std::string write_generation_config(const HfConfig& config);

}  // namespace noregret
