#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "noregret/format/safetensors.h"
#include "noregret/tensor/tensor.h"

namespace noregret {

using NamedTensor = std::pair<std::string, Tensor>;

at::ScalarType scalar_type(DType dtype);
DType dtype_of(const Tensor& tensor);  // throws ShapeError for a dtype that safetensors files here do not hold

// A CPU tensor with the file's dtype.
Tensor read_tensor(const SafetensorsFile& file, const TensorInfo& info);
// All tensors of a file, in the file's order. Throws DataError.
std::vector<NamedTensor> read_tensors(const std::filesystem::path& path);

// Bytes of a safetensors file with these tensors (copied to CPU, contiguous).
std::string tensors_to_bytes(const std::vector<NamedTensor>& tensors);

// Lower-case hex SHA-256 over names, dtypes, shapes and bytes, in the order given.
std::string digest(const std::vector<NamedTensor>& tensors);

}  // namespace noregret
