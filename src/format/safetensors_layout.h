#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "noregret/format/safetensors.h"

namespace noregret {

// How a file of these tensors begins, and where each tensor's bytes go: what a writer needs that makes the bytes of one
// tensor after another.
struct SafetensorsLayout {
  std::string header;               // length and JSON, padded by spaces to a multiple of 8
  std::vector<TensorInfo> tensors;  // in the order written; offsets from the begin of the file
  uint64_t num_bytes = 0;           // of the whole file
};

// Names, dtypes and shapes are taken from `tensors`; their offsets and sizes are not read.
SafetensorsLayout lay_out_safetensors(std::vector<TensorInfo> tensors,
                                      const std::map<std::string, std::string>& metadata);

}  // namespace noregret
