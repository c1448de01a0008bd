#include <algorithm>

#include "format/safetensors_layout.h"
#include "noregret/base/check.h"
#include "noregret/base/json.h"

namespace noregret {
namespace {

uint64_t num_bytes_of(const TensorInfo& info) {
  uint64_t num_bytes = dtype_size(info.dtype);
  for (const int64_t size : info.shape) {
    NOREGRET_CHECK(size >= 0, info.name, ": a dimension is ", size);
    NOREGRET_CHECK(!__builtin_mul_overflow(num_bytes, static_cast<uint64_t>(size), &num_bytes), info.name);
  }
  return num_bytes;
}

std::string header_bytes(const Json& header) {
  std::string json = dump_json(header);
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(json.size() >> (8 * i) & 0xff));
  return bytes + json;
}

}  // namespace

SafetensorsLayout lay_out_safetensors(std::vector<TensorInfo> tensors,
                                      const std::map<std::string, std::string>& metadata) {
  // Wide elements first: every tensor then begins at a multiple of its element size.
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    const size_t size_a = dtype_size(a.dtype);
    const size_t size_b = dtype_size(b.dtype);
    return size_a != size_b ? size_a > size_b : a.name < b.name;
  });
  Json header = Json::object();
  header["__metadata__"]["format"] = "pt";  // transformers refuses a file without
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  uint64_t end = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    TensorInfo& info = tensors[i];
    NOREGRET_CHECK(info.name != "__metadata__" && (i == 0 || tensors[i - 1].name != info.name), info.name);
    info.num_bytes = num_bytes_of(info);
    info.offset = end;
    end += info.num_bytes;
    Json entry = Json::object();
    entry["dtype"] = dtype_name(info.dtype);
    entry["shape"] = info.shape;
    entry["data_offsets"] = {info.offset, end};
    header.get_ref<Json::object_t&>().emplace_back(info.name, std::move(entry));  // no look-up among thousands
  }
  SafetensorsLayout layout{header_bytes(header), std::move(tensors), 0};
  for (TensorInfo& info : layout.tensors) info.offset += layout.header.size();
  layout.num_bytes = layout.header.size() + end;
  return layout;
}

std::string serialize_safetensors(const std::vector<TensorBytes>& tensors,
                                  const std::map<std::string, std::string>& metadata) {
  std::vector<TensorInfo> infos;
  std::map<std::string_view, std::string_view> bytes_of;
  for (const TensorBytes& tensor : tensors) {
    infos.push_back({.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape});
    NOREGRET_CHECK(bytes_of.emplace(tensor.name, tensor.bytes).second, tensor.name, " is given twice");
  }
  SafetensorsLayout layout = lay_out_safetensors(std::move(infos), metadata);
  std::string file = std::move(layout.header);
  file.reserve(layout.num_bytes);
  for (const TensorInfo& info : layout.tensors) {
    const std::string_view bytes = bytes_of.at(info.name);
    NOREGRET_CHECK(bytes.size() == info.num_bytes, info.name, ": ", bytes.size(), " bytes, shape wants ",
                   info.num_bytes);
    file += bytes;
  }
  return file;
}

}  // namespace noregret
