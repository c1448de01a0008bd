#include "noregret/format/safetensors.h"

#include <algorithm>
#include <tuple>

#include "format/dtype_names.h"
#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit
constexpr size_t kMaxRank = 64;                    // LibTorch iterates over no more dimensions

// <model>/model.safetensors of a Hugging Face cache is a link to <model>/../../blobs/<hash>. Any other link may lead to
// a file that is none of the model's.
void check_link(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_symlink(fs::symlink_status(path, error))) return;
  const fs::path target = fs::weakly_canonical(path, error);
  const fs::path blobs = fs::weakly_canonical(fs::absolute(path, error).parent_path() / ".." / ".." / "blobs", error);
  if (!error && target.parent_path() == blobs) return;
  throw DataError(cat(path.string(), ": is a link to ", quoted(target.string()),
                      ", outside its Hugging Face cache; copy the file into the folder"));
}

struct Header {
  std::string json;
  uint64_t data_begin;  // bytes from the begin of the file
};

Header read_header(const InputFile& file) {
  const std::string where = file.path().string();
  unsigned char prefix[kLengthBytes] = {};
  if (file.size() < kLengthBytes) {
    throw DataError(
        cat(where, ": ", file.size(), " bytes, a safetensors file begins with an 8-byte length; fetch it again"));
  }
  file.read_at(0, std::as_writable_bytes(std::span(prefix)));
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= uint64_t{prefix[i]} << (8 * i);
  if (length > kMaxHeaderBytes || length > file.size() - kLengthBytes) {
    throw DataError(cat(where, ": says that its header is ", length, " bytes long, want at most ",
                        std::min(kMaxHeaderBytes, file.size() - kLengthBytes),
                        "; it is cut off or no safetensors file, fetch it again"));
  }
  std::string header(length, '\0');
  file.read_at(kLengthBytes, std::as_writable_bytes(std::span(header)));
  if (!header.starts_with('{'))
    throw DataError(cat(where, ": its header does not begin with '{'; it is no safetensors file"));
  header.resize(header.find_last_not_of(' ') + 1);
  if (!header.ends_with('}'))
    throw DataError(cat(where, ": its header is not JSON padded by spaces; fetch the file again"));
  return {std::move(header), kLengthBytes + length};
}

// Reads one entry of the header. Offsets in the header count from its end, which is `data_begin`.
class EntryReader {
 public:
  EntryReader(const std::string& file, const std::string& name, const Json& entry)
      : where_(cat(file, ": tensor ", quoted(name))), name_(name), entry_(entry) {}

  TensorInfo read(uint64_t data_begin, uint64_t data_size) const {
    if (!entry_.is_object()) fail("is no object; want dtype, shape and data_offsets");
    for (const auto& [key, value] : entry_.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        fail(cat("has the key ", quoted(key), ", want dtype, shape and data_offsets only"));
      }
    }
    TensorInfo info;
    info.name = name_;
    info.dtype = dtype();
    info.shape = shape();
    const auto [begin, end] = offsets(data_size);
    info.offset = data_begin + begin;
    info.num_bytes = end - begin;
    check_size(info);
    return info;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw DataError(cat(where_, " ", what)); }

  DType dtype() const {
    const std::string name = json_string(entry_, "dtype", where_);
    const std::optional<DType> dtype = dtype_from_name(name);
    if (!dtype) fail(cat("has dtype ", quoted(name), ", want one of ", known_dtypes(), "; convert the file"));
    return *dtype;
  }

  uint64_t natural(const Json& value, const char* what) const {
    if (!value.is_number_unsigned()) fail(cat("has a ", what, " that is no integer from 0 on"));
    return value.get<uint64_t>();
  }

  const Json& array(const char* key) const {
    const Json& value = json_at(entry_, key, where_);
    if (!value.is_array()) fail(cat("has a ", key, " that is no array"));
    return value;
  }

  std::vector<int64_t> shape() const {
    const Json& sizes = array("shape");
    if (sizes.size() > kMaxRank) fail(cat("has ", sizes.size(), " dimensions, want at most ", kMaxRank));
    std::vector<int64_t> shape;
    for (const Json& size : sizes) {
      const uint64_t value = natural(size, "dimension");
      if (value > static_cast<uint64_t>(INT64_MAX)) fail(cat("has a dimension of ", value, ", which is too large"));
      shape.push_back(static_cast<int64_t>(value));
    }
    return shape;
  }

  std::pair<uint64_t, uint64_t> offsets(uint64_t data_size) const {
    const Json& pair = array("data_offsets");
    if (pair.size() != 2) fail("has data_offsets that are not [begin, end]");
    const uint64_t begin = natural(pair[0], "data offset");
    const uint64_t end = natural(pair[1], "data offset");
    if (end < begin) fail(cat("ends at byte ", end, ", before it begins at ", begin));
    if (end > data_size) {
      fail(cat("ends at byte ", end, " of the data, the file holds ", data_size, "; it was cut off, fetch it again"));
    }
    return {begin, end};
  }

  void check_size(const TensorInfo& info) const {
    // Strides are products of the other dimensions: a 0 among them does not make an overflow harmless.
    uint64_t extent = dtype_size(info.dtype);
    bool is_empty = false;
    for (const int64_t size : info.shape) {
      is_empty |= size == 0;
      uint64_t product = 0;
      if (__builtin_mul_overflow(extent, static_cast<uint64_t>(std::max<int64_t>(size, 1)), &product) ||
          product > static_cast<uint64_t>(INT64_MAX)) {
        fail("has a shape whose size overflows 64 bits");
      }
      extent = product;
    }
    const uint64_t want = is_empty ? 0 : extent;
    if (want != info.num_bytes) fail(cat("has ", info.num_bytes, " bytes of data, its shape and dtype want ", want));
  }

  std::string where_;
  const std::string& name_;
  const Json& entry_;
};

std::map<std::string, std::string> read_metadata(const Json& metadata, const std::string& where) {
  if (!metadata.is_object()) throw DataError(cat(where, ": __metadata__ is no object, want strings by name"));
  std::map<std::string, std::string> strings;
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string()) throw DataError(cat(where, ": __metadata__ ", quoted(key), " is no string"));
    strings[key] = value.get<std::string>();
  }
  return strings;
}

// Sorts by offset; every byte of the data must belong to exactly one tensor.
void check_layout(std::vector<TensorInfo>& tensors, uint64_t data_begin, uint64_t file_size, const std::string& where) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.offset, a.num_bytes, a.name) < std::tie(b.offset, b.num_bytes, b.name);
  });
  uint64_t end = data_begin;
  for (const TensorInfo& info : tensors) {
    if (info.offset != end) {
      throw DataError(cat(where, ": tensor ", quoted(info.name), " begins at byte ", info.offset - data_begin,
                          " of the data, want ", end - data_begin,
                          info.offset < end ? "; it overlaps the tensor before it" : "; a hole lies before it"));
    }
    end += info.num_bytes;
  }
  if (end != file_size) {
    throw DataError(
        cat(where, ": ", file_size - end, " bytes after the last tensor belong to none; fetch the file again"));
  }
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  check_link(path);
  SafetensorsFile result{InputFile(path)};
  const std::string where = path.string();
  const Header header = read_header(result.file_);
  const uint64_t data_size = result.file_.size() - header.data_begin;
  const Json entries = parse_json(header.json, where);
  for (const auto& [name, entry] : entries.items()) {
    if (name == "__metadata__") {
      result.metadata_ = read_metadata(entry, where);
    } else {
      result.tensors_.push_back(EntryReader(where, name, entry).read(header.data_begin, data_size));
    }
  }
  check_layout(result.tensors_, header.data_begin, result.file_.size(), where);
  for (size_t i = 0; i < result.tensors_.size(); ++i) result.by_name_.emplace(result.tensors_[i].name, i);
  return result;
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

void SafetensorsFile::read(const TensorInfo& info, std::span<std::byte> out) const {
  NOREGRET_CHECK(out.size() == info.num_bytes, info.name, ": ", out.size(), " bytes of space for ", info.num_bytes);
  file_.read_at(info.offset, out);
}

}  // namespace noregret
