#pragma once

#include <filesystem>
#include <string>

namespace noregret {

// Turns a GGUF file of architecture "llama" into a Hugging Face folder: config.json, generation_config.json,
// model.safetensors, tokenizer.json, tokenizer_config.json (with the chat template). q and k rows are un-permuted from
// the interleaved rotary order.
//
//   dtype  "f32" or "bf16", of the weights written (bf16 rounds to nearest even)
//
// The folder appears whole or not at all. Throws DataError: another architecture, a tensor missing, surplus or of a
// wrong shape, an unknown tokenizer.ggml.pre or tokenizer.ggml.model; IoError: out_dir exists, disk.
void import_gguf(const std::filesystem::path& gguf, const std::filesystem::path& out_dir, const std::string& dtype);

}  // namespace noregret
