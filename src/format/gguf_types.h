#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace noregret {

// A tensor type that can be read.
struct GgufType {
  uint32_t id;
  int64_t block_size;  // elements
  int64_t block_bytes;
};

const GgufType* find_gguf_type(uint32_t id);  // null when it cannot be read
std::string gguf_type_name(uint32_t id);      // "Q4_K"; "type 99" when unknown
std::string readable_gguf_types();            // "F32 F16 ..."

// The values of whole blocks.
std::vector<float> dequantize(uint32_t type_id, std::span<const std::byte> blocks);

}  // namespace noregret
