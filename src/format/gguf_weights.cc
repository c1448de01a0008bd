#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "format/float_bits.h"
#include "format/gguf_parts.h"
#include "format/safetensors_layout.h"
#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// A tensor of the model and where it comes from.
struct Source {
  std::string name;            // in the GGUF file
  std::vector<int64_t> shape;  // row-major
  int64_t num_heads = 0;       // > 0: rows are in interleaved rotary order
};

// By Hugging Face name.
std::map<std::string, Source> list_sources(const HfConfig& c) {
  const int64_t q_rows = c.num_heads * c.head_dim;
  const int64_t kv_rows = c.num_kv_heads * c.head_dim;
  std::map<std::string, Source> sources;
  sources["model.embed_tokens.weight"] = {"token_embd.weight", {c.vocab_size, c.hidden_size}};
  sources["model.norm.weight"] = {"output_norm.weight", {c.hidden_size}};
  if (!c.tie_word_embeddings) sources["lm_head.weight"] = {"output.weight", {c.vocab_size, c.hidden_size}};
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const auto add = [&](const char* hf, const char* gguf, std::vector<int64_t> shape, int64_t num_heads = 0) {
      sources[cat("model.layers.", i, ".", hf, ".weight")] = {cat("blk.", i, ".", gguf, ".weight"), std::move(shape),
                                                              num_heads};
    };
    add("input_layernorm", "attn_norm", {c.hidden_size});
    add("self_attn.q_proj", "attn_q", {q_rows, c.hidden_size}, c.num_heads);
    add("self_attn.k_proj", "attn_k", {kv_rows, c.hidden_size}, c.num_kv_heads);
    add("self_attn.v_proj", "attn_v", {kv_rows, c.hidden_size});
    add("self_attn.o_proj", "attn_output", {c.hidden_size, q_rows});
    add("post_attention_layernorm", "ffn_norm", {c.hidden_size});
    add("mlp.gate_proj", "ffn_gate", {c.intermediate_size, c.hidden_size});
    add("mlp.up_proj", "ffn_up", {c.intermediate_size, c.hidden_size});
    add("mlp.down_proj", "ffn_down", {c.hidden_size, c.intermediate_size});
  }
  return sources;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

void check_tensors(const GgufFile& file, const std::map<std::string, Source>& sources) {
  const std::string where = file.path().string();
  std::map<std::string, const GgufTensor*> by_name;
  for (const GgufTensor& tensor : file.tensors()) by_name[tensor.name] = &tensor;
  by_name.erase(kRopeFactors);
  for (const auto& [hf_name, source] : sources) {
    const auto found = by_name.find(source.name);
    if (found == by_name.end())
      throw DataError(cat(where, ": holds no tensor ", quoted(source.name), "; the file is incomplete"));
    if (found->second->shape != source.shape) {
      throw DataError(cat(where, ": tensor ", quoted(source.name), " is ", shape_text(found->second->shape), ", want ",
                          shape_text(source.shape), " by the file's metadata"));
    }
    by_name.erase(found);
  }
  if (!by_name.empty()) {
    throw DataError(cat(where, ": holds tensor ", quoted(by_name.begin()->first),
                        ", which a llama model does not have; this variant is not supported"));
  }
}

// Row (head, i, half) of the file is row (head, half, i) of Hugging Face's half-split rotation.
std::vector<float> half_split_rows(const std::vector<float>& rows, int64_t num_heads, int64_t num_rows) {
  const size_t row_size = rows.size() / static_cast<size_t>(num_rows);
  const auto half_dim = static_cast<size_t>(num_rows / num_heads / 2);
  std::vector<float> result(rows.size());
  for (size_t head = 0; head < static_cast<size_t>(num_heads); ++head) {
    for (size_t half = 0; half < 2; ++half) {
      for (size_t i = 0; i < half_dim; ++i) {
        const size_t from = (head * half_dim + i) * 2 + half;
        const size_t to = (head * 2 + half) * half_dim + i;
        std::memcpy(&result[to * row_size], &rows[from * row_size], row_size * sizeof(float));
      }
    }
  }
  return result;
}

void append_values(std::string& out, std::span<const float> values, DType dtype, const std::string& where) {
  for (const float value : values) {
    const uint16_t short_bits = f32_to_bf16(value);
    const float kept = dtype == DType::kBF16 ? bf16_to_f32(short_bits) : value;
    if (!std::isfinite(kept))
      throw DataError(cat(where, " holds NaN or infinity; the file is damaged, fetch it again"));
    if (dtype == DType::kBF16) {
      out.append(reinterpret_cast<const char*>(&short_bits), sizeof short_bits);
    } else {
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
  }
}

}  // namespace

std::string gguf_weights(const GgufFile& file, const HfConfig& config, DType dtype) {
  const std::map<std::string, Source> sources = list_sources(config);
  check_tensors(file, sources);
  std::vector<TensorInfo> infos;
  for (const auto& [name, source] : sources) infos.push_back({.name = name, .dtype = dtype, .shape = source.shape});
  SafetensorsLayout layout = lay_out_safetensors(std::move(infos), {});
  std::string bytes = std::move(layout.header);
  bytes.reserve(layout.num_bytes);
  for (const TensorInfo& info : layout.tensors) {  // one tensor in f32 at a time
    const Source& source = sources.at(info.name);
    std::vector<float> values = file.read_f32(*file.find(source.name));
    if (source.num_heads > 0) values = half_split_rows(values, source.num_heads, source.shape[0]);
    append_values(bytes, values, dtype, cat(file.path().string(), ": tensor ", quoted(source.name)));
  }
  NOREGRET_CHECK(bytes.size() == layout.num_bytes, bytes.size(), " bytes, want ", layout.num_bytes);
  return bytes;
}

}  // namespace noregret
