#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "format/gguf_parts.h"
#include "noregret/base/error.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

const std::string kPrefix = "llama.";

// Every other key of the architecture may change the maths (sliding windows, experts, scales of logits, ...).
constexpr std::array<const char*, 17> kKnownKeys = {"block_count",
                                                    "context_length",
                                                    "embedding_length",
                                                    "feed_forward_length",
                                                    "attention.head_count",
                                                    "attention.head_count_kv",
                                                    "attention.layer_norm_rms_epsilon",
                                                    "attention.key_length",
                                                    "attention.value_length",
                                                    "vocab_size",
                                                    "tensor_data_layout",
                                                    "rope.freq_base",
                                                    "rope.dimension_count",
                                                    "rope.scale_linear",
                                                    "rope.scaling.type",
                                                    "rope.scaling.factor",
                                                    "rope.scaling.original_context_length"};
// Keys that change nothing at this value.
constexpr std::array<const char*, 3> kZeroKeys = {"expert_count", "expert_used_count", "rope.scaling.finetuned"};

class LlamaKeys {
 public:
  explicit LlamaKeys(const GgufFile& file) : file_(file) {}

  bool has(const char* key) const { return file_.has(kPrefix + key); }
  int64_t integer(const char* key) const { return file_.integer(kPrefix + key); }
  int64_t integer_or(const char* key, int64_t otherwise) const { return has(key) ? integer(key) : otherwise; }
  // Files hold f32; 1e-5 is to read 1e-05, not 9.999999747378752e-06.
  double number(const char* key) const {
    return json_float(static_cast<float>(file_.number(kPrefix + key))).get<double>();
  }
  double number_or(const char* key, double otherwise) const { return has(key) ? number(key) : otherwise; }
  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw DataError(cat(file_.path().string(), ": ", kPrefix, key, " ", what));
  }

  void check_known() const {
    for (const auto& [key, value] : file_.metadata()) {
      if (!key.starts_with(kPrefix)) continue;
      const std::string name = key.substr(kPrefix.size());
      const auto is_name = [&](const char* known) { return name == known; };
      if (std::any_of(kKnownKeys.begin(), kKnownKeys.end(), is_name)) continue;
      const bool is_zero = value == GgufValue(int64_t{0}) || value == GgufValue(false);
      const bool is_harmless =
          std::any_of(kZeroKeys.begin(), kZeroKeys.end(), is_name) && (is_zero || name == "rope.scaling.finetuned");
      if (is_harmless) continue;
      throw DataError(cat(file_.path().string(), ": key ", quoted(key),
                          " is there, which may change the maths and is not supported"));
    }
  }

 private:
  const GgufFile& file_;
};

std::vector<double> llama3_factors(const HfConfig& config, const RopeOptions& rope) {
  std::vector<double> factors;
  const auto original_length = static_cast<double>(rope.original_max_positions);
  for (int64_t i = 0; i < config.head_dim; i += 2) {
    const double exponent = static_cast<double>(i) / static_cast<double>(config.head_dim);
    const double wavelength = 2.0 * std::numbers::pi * std::pow(rope.theta, exponent);
    const double turns = original_length / wavelength;
    const double smooth =
        std::clamp((turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor), 0.0, 1.0);
    factors.push_back(1.0 / ((1.0 - smooth) / rope.factor + smooth));
  }
  return factors;
}

// Files of Llama 3.x do not say by which parameters the factors were made: 3.1 and 3.3 use factor 8, 3.2 uses 32.
RopeOptions recognise_llama3(const GgufFile& file, const GgufTensor& tensor, const HfConfig& config) {
  const std::vector<float> found = file.read_f32(tensor);
  for (const double factor : {8.0, 32.0}) {
    RopeOptions rope = config.rope;
    rope.type = RopeOptions::Type::kLlama3;
    rope.factor = factor;
    rope.low_freq_factor = 1.0;
    rope.high_freq_factor = 4.0;
    rope.original_max_positions = 8192;
    const std::vector<double> want = llama3_factors(config, rope);
    const auto is_near = [](float a, double b) { return std::abs(a - b) <= 1e-4 * b; };  // made in f32
    if (std::equal(found.begin(), found.end(), want.begin(), want.end(), is_near)) return rope;
  }
  throw DataError(cat(file.path().string(), ": tensor '", kRopeFactors,
                      "' holds none of the known sets of rotary factors (Llama 3.1, 3.2, 3.3), so the model's "
                      "rope_scaling is unknown; take its safetensors files"));
}

RopeOptions read_rope(const GgufFile& file, const LlamaKeys& keys, const HfConfig& config) {
  RopeOptions rope;
  rope.theta = keys.number_or("rope.freq_base", 10000.0);
  const std::string type_key = kPrefix + "rope.scaling.type";
  std::string type = file.has(type_key) ? file.string(type_key) : "none";
  if (type == "none" && keys.number_or("rope.scale_linear", 1.0) != 1.0) type = "linear";
  if (type == "linear" || type == "yarn") {
    rope.type = type == "linear" ? RopeOptions::Type::kLinear : RopeOptions::Type::kYarn;
    rope.factor =
        keys.has("rope.scaling.factor") ? keys.number("rope.scaling.factor") : keys.number("rope.scale_linear");
    if (type == "yarn") rope.original_max_positions = keys.integer("rope.scaling.original_context_length");
  } else if (type != "none") {
    keys.fail("rope.scaling.type", cat("is ", quoted(type), ", want none, linear or yarn"));
  }
  const GgufTensor* factors = file.find(kRopeFactors);
  if (factors == nullptr) return rope;
  if (rope.type != RopeOptions::Type::kDefault)
    keys.fail("rope.scaling.type", cat("is ", type, " beside ", kRopeFactors));
  HfConfig with_theta = config;
  with_theta.rope = rope;
  return recognise_llama3(file, *factors, with_theta);
}

void check_heads(const LlamaKeys& keys, const HfConfig& config) {
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    if (keys.integer_or(key, config.head_dim) == config.head_dim) continue;
    keys.fail(key, cat("is ", keys.integer(key), ", want ", config.head_dim, ", the size of a head"));
  }
}

}  // namespace

std::optional<int64_t> gguf_token_id(const GgufFile& file, const std::string& key) {
  if (!file.has(key)) return std::nullopt;
  const int64_t id = file.integer(key);
  const auto num_tokens = static_cast<int64_t>(file.strings("tokenizer.ggml.tokens").size());
  if (id < 0 || id >= num_tokens) {
    throw DataError(cat(file.path().string(), ": ", key, " is ", id, ", want 0 to ", num_tokens - 1));
  }
  return id;
}

HfConfig gguf_config(const GgufFile& file) {
  const std::string where = file.path().string();
  if (file.string("general.architecture") != "llama") {
    throw DataError(cat(where, ": general.architecture is ", quoted(file.string("general.architecture")),
                        ", want 'llama'; no other is supported"));
  }
  const LlamaKeys keys(file);
  keys.check_known();
  HfConfig config;
  config.hidden_size = keys.integer("embedding_length");
  config.intermediate_size = keys.integer("feed_forward_length");
  config.num_layers = keys.integer("block_count");
  config.num_heads = keys.integer("attention.head_count");
  config.num_kv_heads = keys.integer_or("attention.head_count_kv", config.num_heads);
  if (config.num_heads < 1) keys.fail("attention.head_count", cat("is ", config.num_heads, ", want at least 1"));
  config.head_dim = keys.integer_or("attention.key_length", config.hidden_size / config.num_heads);
  config.max_positions = keys.integer("context_length");
  config.rms_norm_eps = keys.number("attention.layer_norm_rms_epsilon");
  const GgufTensor* embedding = file.find("token_embd.weight");
  if (embedding == nullptr)
    throw DataError(cat(where, ": holds no tensor 'token_embd.weight'; the file is incomplete"));
  config.vocab_size = embedding->shape[0];
  config.tie_word_embeddings = file.find("output.weight") == nullptr;
  check_heads(keys, config);
  config.rope = read_rope(file, keys, config);
  config.bos_token_id = gguf_token_id(file, "tokenizer.ggml.bos_token_id").value_or(-1);
  for (const char* key : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
    const std::optional<int64_t> id = gguf_token_id(file, cat("tokenizer.ggml.", key));
    const auto end = config.eos_token_ids.end();
    if (id && std::find(config.eos_token_ids.begin(), end, *id) == end) config.eos_token_ids.push_back(*id);
  }
  // What is written must be readable: the bounds and cross checks are those of config.json.
  return parse_hf_config(write_hf_config(config), "", where);
}

}  // namespace noregret
