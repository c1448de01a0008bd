#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/format/format_support.h"

namespace noregret {

// Type ids of metadata values and of tensors (ggml docs/gguf.md).
enum GgufKind : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kFloat, kBool, kText, kList, kU64, kI64, kDouble };
inline constexpr uint32_t kTensorF32 = 0;

inline std::string gguf_text(const std::string& text) { return little_endian(text.size(), 8) + text; }

// Puts a GGUF file together piece by piece, well formed unless a field is changed.
class GgufBuilder {
 public:
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dims;  // fastest first, as in the file
    uint32_t type;
    uint64_t offset;
  };
  uint32_t version = 3;
  std::string magic = "GGUF";
  uint64_t alignment = 32;
  std::vector<std::pair<std::string, std::string>> keys;  // name, type and value as in the file
  std::vector<Tensor> tensors;
  std::string data;

  void raw(const std::string& key, uint32_t kind, const std::string& value) {
    erase(key);
    keys.emplace_back(key, little_endian(kind, 4) + value);
  }
  void integer(const std::string& key, uint32_t value) { raw(key, kU32, little_endian(value, 4)); }
  void number(const std::string& key, float value) {
    raw(key, kFloat, little_endian(std::bit_cast<uint32_t>(value), 4));
  }
  void boolean(const std::string& key, bool value) { raw(key, kBool, std::string(1, static_cast<char>(value))); }
  void text(const std::string& key, const std::string& value) { raw(key, kText, gguf_text(value)); }
  void texts(const std::string& key, const std::vector<std::string>& values) {
    std::string bytes = list_head(kText, values.size());
    for (const std::string& value : values) bytes += gguf_text(value);
    raw(key, kList, bytes);
  }
  void integers(const std::string& key, const std::vector<int32_t>& values) {
    std::string bytes = list_head(kI32, values.size());
    for (const int32_t value : values) bytes += little_endian(static_cast<uint32_t>(value), 4);
    raw(key, kList, bytes);
  }
  void erase(const std::string& key) {
    std::erase_if(keys, [&](const auto& entry) { return entry.first == key; });
  }

  // Adds the bytes at the end of the data.
  void tensor(const std::string& name, std::vector<uint64_t> dims, uint32_t type, std::string_view bytes) {
    data.resize((data.size() + alignment - 1) / alignment * alignment, '\0');
    tensors.push_back({name, std::move(dims), type, data.size()});
    data += bytes;
  }
  void erase_tensor(const std::string& name) {
    std::erase_if(tensors, [&](const Tensor& tensor) { return tensor.name == name; });
  }

  static std::string list_head(uint32_t kind, uint64_t count) {
    return little_endian(kind, 4) + little_endian(count, 8);
  }

  std::string bytes() const {
    std::string out =
        magic + little_endian(version, 4) + little_endian(tensors.size(), 8) + little_endian(keys.size(), 8);
    for (const auto& [key, value] : keys) out += gguf_text(key) + value;
    for (const Tensor& tensor : tensors) {
      out += gguf_text(tensor.name) + little_endian(tensor.dims.size(), 4);
      for (const uint64_t dim : tensor.dims) out += little_endian(dim, 8);
      out += little_endian(tensor.type, 4) + little_endian(tensor.offset, 8);
    }
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + data;
  }
};

}  // namespace noregret
