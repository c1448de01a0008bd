#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "noregret/format/gguf.h"
#include "noregret/format/hf_config.h"
#include "noregret/format/safetensors.h"

namespace noregret {

// The parts of a Hugging Face folder, each made of a GGUF file of architecture "llama". Throw DataError.

// Sizes, rotary options and token ids. Keys of the architecture that are not known are refused by name.
HfConfig gguf_config(const GgufFile& file);

// tokenizer.json and tokenizer_config.json.
struct GgufTokenizer {
  std::string tokenizer_json;
  std::string tokenizer_config_json;
};
GgufTokenizer gguf_tokenizer(const GgufFile& file, const HfConfig& config);

// The bytes of model.safetensors; dtype F32 or BF16. Every tensor of the file must be one of the model's, of its shape.
std::string gguf_weights(const GgufFile& file, const HfConfig& config, DType dtype);

constexpr const char* kRopeFactors = "rope_freqs.weight";  // Llama 3.x: what each rotary frequency is divided by

// A token id of the metadata; empty when the key is absent. Throws when it is no token.
std::optional<int64_t> gguf_token_id(const GgufFile& file, const std::string& key);

}  // namespace noregret
