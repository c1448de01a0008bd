#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "noregret/base/input_file.h"

namespace noregret {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };
size_t dtype_size(DType dtype);            // bytes an element
std::string_view dtype_name(DType dtype);  // "F32", as safetensors writes it

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // [] = scalar
  uint64_t offset = 0;         // of the first byte, from the begin of the file
  uint64_t num_bytes = 0;
};

// A safetensors file: u64 little-endian header length, JSON header, row-major little-endian data
// (huggingface/safetensors). Strict: lengths, offsets without holes or overlaps, sizes that match shapes, unique names
// are all checked on open, before anything is allocated by what the file says. Tensors without elements lie between
// others. A symbolic link is followed only into the blobs folder of a Hugging Face cache. Throws DataError naming file
// and tensor.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // by offset
  const TensorInfo* find(std::string_view name) const;                 // null when absent
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Reads the tensor's bytes into `out`, whose size must be info.num_bytes. Throws DataError when the file has shrunk.
  void read(const TensorInfo& info, std::span<std::byte> out) const;

 private:
  explicit SafetensorsFile(InputFile file) : file_(std::move(file)) {}
  InputFile file_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> by_name_;  // into tensors_
  std::map<std::string, std::string> metadata_;
};

// The tensors of a model folder: model.safetensors, or else the shards of model.safetensors.index.json. Shards are
// plain file names inside the folder; a tensor that is listed and not there, or there and not listed, is a DataError by
// name.
class SafetensorsFolder {
 public:
  static SafetensorsFolder open(const std::filesystem::path& dir);
  struct Entry {
    const SafetensorsFile* file;
    const TensorInfo* info;
  };
  std::optional<Entry> find(std::string_view name) const;
  std::vector<std::string> names() const;  // sorted

 private:
  std::vector<SafetensorsFile> files_;
};

struct TensorBytes {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::string_view bytes;
};

// The bytes of a safetensors file: `__metadata__` {"format": "pt", ...metadata}, tensors by dtype size descending, then
// by name.
std::string serialize_safetensors(const std::vector<TensorBytes>& tensors,
                                  const std::map<std::string, std::string>& metadata = {});

}  // namespace noregret
