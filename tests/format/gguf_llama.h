#pragma once

#include <iterator>
#include <string>
#include <vector>

#include "noregret/base/json.h"
#include "noregret/format/gguf_import.h"
#include "noregret/format/hf_config.h"
#include "tests/format/gguf_builder.h"
#include "tests/format/safetensors_support.h"

namespace noregret {

// A Llama of one layer: hidden 8, two heads of 4, one kv head, intermediate 6, vocabulary 8. All weights are `value`.
inline GgufBuilder tiny_llama(float value = 0.5f) {
  GgufBuilder b;
  b.text("general.architecture", "llama");
  b.integer("llama.block_count", 1);
  b.integer("llama.context_length", 64);
  b.integer("llama.embedding_length", 8);
  b.integer("llama.feed_forward_length", 6);
  b.integer("llama.attention.head_count", 2);
  b.integer("llama.attention.head_count_kv", 1);
  b.number("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  b.number("llama.rope.freq_base", 10000.0f);
  b.text("tokenizer.ggml.model", "gpt2");
  b.text("tokenizer.ggml.pre", "smollm");
  b.texts("tokenizer.ggml.tokens", {"<s>", "</s>", "a", "b", "ab", "<tool>", "[PAD6]", "c"});
  b.integers("tokenizer.ggml.token_type", {3, 3, 1, 1, 1, 4, 5, 1});
  b.texts("tokenizer.ggml.merges", {"a b"});
  b.integer("tokenizer.ggml.bos_token_id", 0);
  b.integer("tokenizer.ggml.eos_token_id", 1);
  const auto add = [&](const std::string& name, const std::vector<uint64_t>& dims) {
    const std::vector<float> values(dims[0] * (dims.size() > 1 ? dims[1] : 1), value);
    b.tensor(name + ".weight", dims, kTensorF32, bytes_of(values));
  };
  add("token_embd", {8, 8});
  add("output_norm", {8});
  add("blk.0.attn_norm", {8});
  add("blk.0.attn_q", {8, 8});
  add("blk.0.attn_k", {8, 4});
  add("blk.0.attn_v", {8, 4});
  add("blk.0.attn_output", {8, 8});
  add("blk.0.ffn_norm", {8});
  add("blk.0.ffn_gate", {8, 6});
  add("blk.0.ffn_up", {8, 6});
  add("blk.0.ffn_down", {6, 8});
  return b;
}

struct Imported {
  HfConfig config;
  Json tokenizer;
  Json tokenizer_config;
  Json generation_config;
  SafetensorsFile weights;
};

inline Imported imported(const TempFolder& folder, const GgufBuilder& builder, const std::string& dtype = "f32") {
  const fs::path out = folder.path() / "out";
  fs::remove_all(out);
  import_gguf(folder.write("x.gguf", builder.bytes()), out, dtype);
  const auto json = [&](const char* name) { return parse_json(read_file(out / name), name); };
  return {read_hf_config(out), json("tokenizer.json"), json("tokenizer_config.json"), json("generation_config.json"),
          SafetensorsFile::open(out / "model.safetensors")};
}

inline std::string import_error(const GgufBuilder& builder) {
  const TempFolder folder;
  const fs::path path = folder.write("x.gguf", builder.bytes());
  const std::string message = error_of([&] { import_gguf(path, folder.path() / "out", "f32"); });
  EXPECT_FALSE(fs::exists(folder.path() / "out"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1) << "something was left behind";
  EXPECT_THAT(message, testing::HasSubstr("x.gguf"));
  return message;
}

}  // namespace noregret
