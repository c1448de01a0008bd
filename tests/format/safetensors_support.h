#pragma once

#include <string>
#include <vector>

#include "noregret/format/safetensors.h"
#include "tests/format/format_support.h"

namespace noregret {

// A file of this header and this data, whatever they are.
inline std::string raw_safetensors(const std::string& header, const std::string& data) {
  return little_endian(header.size(), 8) + header + data;
}

inline std::string entry(const std::string& dtype, const std::string& shape, uint64_t begin, uint64_t end) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[)" + std::to_string(begin) + "," +
         std::to_string(end) + "]}";
}

inline std::string read_bytes(const SafetensorsFile& file, const std::string& name) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr) return "no such tensor";
  std::string bytes(info->num_bytes, '?');
  file.read(*info, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

}  // namespace noregret
