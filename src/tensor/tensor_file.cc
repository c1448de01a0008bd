#include "noregret/tensor/tensor_file.h"

#include <ATen/ops/empty.h>

#include <array>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

struct DTypePair {
  DType file;
  at::ScalarType tensor;
};
constexpr std::array<DTypePair, 10> kDTypes = {{{DType::kF64, at::kDouble},
                                                {DType::kF32, at::kFloat},
                                                {DType::kF16, at::kHalf},
                                                {DType::kBF16, at::kBFloat16},
                                                {DType::kI64, at::kLong},
                                                {DType::kI32, at::kInt},
                                                {DType::kI16, at::kShort},
                                                {DType::kI8, at::kChar},
                                                {DType::kU8, at::kByte},
                                                {DType::kBool, at::kBool}}};

Tensor on_cpu(const Tensor& tensor) { return tensor.detach().cpu().contiguous(); }

std::string_view bytes_of(const Tensor& tensor) {
  return {static_cast<const char*>(tensor.const_data_ptr()), static_cast<size_t>(tensor.nbytes())};
}

}  // namespace

at::ScalarType scalar_type(DType dtype) {
  for (const DTypePair& pair : kDTypes) {
    if (pair.file == dtype) return pair.tensor;
  }
  NOREGRET_CHECK(false, "dtype ", static_cast<int>(dtype));
  return at::kFloat;
}

DType dtype_of(const Tensor& tensor) {
  for (const DTypePair& pair : kDTypes) {
    if (pair.tensor == tensor.scalar_type()) return pair.file;
  }
  throw ShapeError(cat("a tensor is ", c10::toString(tensor.scalar_type()),
                       ", which safetensors files here do not hold; want float, bfloat16, half, integer or bool"));
}

Tensor read_tensor(const SafetensorsFile& file, const TensorInfo& info) {
  Tensor tensor = at::empty(info.shape, at::TensorOptions(scalar_type(info.dtype)));
  NOREGRET_CHECK(tensor.nbytes() == info.num_bytes, tensor.nbytes(), " bytes, file says ", info.num_bytes);
  file.read(info, {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()});
  return tensor;
}

std::vector<NamedTensor> read_tensors(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<NamedTensor> tensors;
  tensors.reserve(file.tensors().size());
  for (const TensorInfo& info : file.tensors()) tensors.emplace_back(info.name, read_tensor(file, info));
  return tensors;
}

std::string tensors_to_bytes(const std::vector<NamedTensor>& tensors) {
  std::vector<Tensor> copies;  // keep the bytes alive
  std::vector<TensorBytes> views;
  for (const auto& [name, tensor] : tensors) {
    copies.push_back(on_cpu(tensor));
    views.push_back({name, dtype_of(tensor), tensor.sizes().vec(), bytes_of(copies.back())});
  }
  return serialize_safetensors(views);
}

std::string digest(const std::vector<NamedTensor>& tensors) {
  std::string lines;
  for (const auto& [name, tensor] : tensors) {
    const Tensor copy = on_cpu(tensor);
    lines += cat(name.size(), ":", name, " ", dtype_name(dtype_of(copy)), " ", shape_text(copy.sizes()), " ",
                 sha256_hex(bytes_of(copy)), "\n");
  }
  return sha256_hex(lines);
}

}  // namespace noregret
