#include "noregret/format/gguf.h"

#include <algorithm>
#include <bit>
#include <set>

#include "format/gguf_reader.h"
#include "format/gguf_types.h"
#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr const char* kAlignmentKey = "general.alignment";
constexpr int64_t kDefaultAlignment = 32;  // bytes
constexpr int64_t kMaxAlignment = 1 << 20;
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 20;
constexpr uint64_t kMaxNameBytes = 65535;  // of a key, by the specification
constexpr uint64_t kMinKeyBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;
constexpr uint32_t kMaxRank = 4;

struct Counts {
  uint64_t tensors;
  uint64_t keys;
};

Counts read_counts(GgufReader& reader) {
  if (reader.number<uint32_t>("the magic") != kMagic) reader.fail("does not begin with 'GGUF'; it is no GGUF file");
  const auto version = reader.number<uint32_t>("the version");
  if ((version & 0xffffu) == 0 && version != 0) reader.fail("is a big-endian file, want a little-endian one");
  if (version != 2 && version != 3) reader.fail(cat("is of GGUF version ", version, ", want 2 or 3; convert it anew"));
  Counts counts{};
  counts.tensors = reader.count("the number of tensors", kMinTensorBytes, kMaxTensors);
  counts.keys = reader.count("the number of keys", kMinKeyBytes, kMaxKeys);
  return counts;
}

std::map<std::string, GgufValue> read_metadata(GgufReader& reader, uint64_t num_keys) {
  std::map<std::string, GgufValue> metadata;
  for (uint64_t i = 0; i < num_keys; ++i) {
    const std::string key = reader.string("the length of a key", kMaxNameBytes);
    const auto type = reader.number<uint32_t>("the type of a value");
    GgufValue value = reader.value(type, key);
    if (!metadata.emplace(key, std::move(value)).second) reader.fail(cat("key ", quoted(key), " is there twice"));
  }
  return metadata;
}

// Offsets count from the begin of the data here, which is known only after the last tensor.
GgufTensor read_tensor(GgufReader& reader, int64_t alignment) {
  GgufTensor tensor;
  tensor.name = reader.string("the length of a tensor's name", kMaxNameBytes);
  const auto fail = [&](const std::string& what) { reader.fail(cat("tensor ", quoted(tensor.name), " ", what)); };
  const auto rank = reader.number<uint32_t>("the number of dimensions");
  if (rank < 1 || rank > kMaxRank) fail(cat("has ", rank, " dimensions, want 1 to ", kMaxRank));
  int64_t num_elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    const auto size = reader.number<uint64_t>("a dimension");
    if (size < 1 || size > static_cast<uint64_t>(INT64_MAX) ||
        __builtin_mul_overflow(num_elements, static_cast<int64_t>(size), &num_elements)) {
      fail(cat("has a dimension of ", size, ": its size is 0 or overflows 63 bits"));
    }
    tensor.shape.push_back(static_cast<int64_t>(size));
  }
  tensor.type = reader.number<uint32_t>("the type of a tensor");
  tensor.offset = reader.number<uint64_t>("the offset of a tensor");
  const GgufType* type = find_gguf_type(tensor.type);
  if (type == nullptr) {
    fail(cat("is ", gguf_type_name(tensor.type), ", want one of ", readable_gguf_types(),
             "; take another quantization of the model"));
  }
  if (tensor.shape[0] % type->block_size != 0) {
    fail(cat("has rows of ", tensor.shape[0], " elements, want a multiple of ", type->block_size, " for ",
             gguf_type_name(tensor.type)));
  }
  int64_t num_bytes = 0;
  if (__builtin_mul_overflow(num_elements / type->block_size, type->block_bytes, &num_bytes)) fail("is too large");
  tensor.num_bytes = static_cast<uint64_t>(num_bytes);
  if (tensor.offset % static_cast<uint64_t>(alignment) != 0) {
    fail(cat("begins at byte ", tensor.offset, " of the data, want a multiple of ", alignment));
  }
  std::reverse(tensor.shape.begin(), tensor.shape.end());
  return tensor;
}

void check_layout(const std::vector<GgufTensor>& tensors, uint64_t data_size, const std::string& where) {
  std::vector<const GgufTensor*> sorted;
  for (const GgufTensor& tensor : tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  uint64_t end = 0;
  for (const GgufTensor* tensor : sorted) {
    const std::string name = cat(where, ": tensor ", quoted(tensor->name));
    if (tensor->offset < end) throw DataError(cat(name, " overlaps another one; the file is damaged"));
    if (tensor->offset > data_size || tensor->num_bytes > data_size - tensor->offset) {
      throw DataError(cat(name, " takes ", tensor->num_bytes, " bytes from byte ", tensor->offset,
                          " of the data, which has ", data_size, "; the file was cut off, fetch it again"));
    }
    end = tensor->offset + tensor->num_bytes;
  }
}

}  // namespace

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile result{InputFile(path)};
  GgufReader reader(result.file_);
  const Counts counts = read_counts(reader);
  result.metadata_ = read_metadata(reader, counts.keys);
  const int64_t alignment = result.has(kAlignmentKey) ? result.integer(kAlignmentKey) : kDefaultAlignment;
  if (alignment < 1 || alignment > kMaxAlignment || !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    reader.fail(cat(kAlignmentKey, " is ", alignment, ", want a power of 2 up to ", kMaxAlignment));
  }
  std::set<std::string> names;
  for (uint64_t i = 0; i < counts.tensors; ++i) {
    result.tensors_.push_back(read_tensor(reader, alignment));
    const std::string& name = result.tensors_.back().name;
    if (!names.insert(name).second) reader.fail(cat("tensor ", quoted(name), " is there twice"));
  }
  const uint64_t mask = static_cast<uint64_t>(alignment) - 1;
  const uint64_t data_begin = (reader.position() + mask) & ~mask;
  const uint64_t data_size = data_begin < result.file_.size() ? result.file_.size() - data_begin : 0;
  check_layout(result.tensors_, data_size, path.string());
  for (GgufTensor& tensor : result.tensors_) tensor.offset += data_begin;
  return result;
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors_.begin(), tensors_.end(), [&](const GgufTensor& t) { return t.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

template <class T>
const T& GgufFile::get(const std::string& key, const char* want) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end())
    throw DataError(cat(path().string(), ": key ", quoted(key), " is missing, want ", want));
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr)
    throw DataError(cat(path().string(), ": key ", quoted(key), " is of another kind, want ", want));
  return *value;
}

bool GgufFile::boolean(const std::string& key) const { return get<bool>(key, "a boolean"); }
const std::string& GgufFile::string(const std::string& key) const { return get<std::string>(key, "a string"); }
int64_t GgufFile::integer(const std::string& key) const { return get<int64_t>(key, "an integer"); }
const std::vector<std::string>& GgufFile::strings(const std::string& key) const {
  return get<std::vector<std::string>>(key, "an array of strings");
}
const std::vector<int64_t>& GgufFile::integers(const std::string& key) const {
  return get<std::vector<int64_t>>(key, "an array of integers");
}
double GgufFile::number(const std::string& key) const {
  const auto found = metadata_.find(key);
  const bool is_integer = found != metadata_.end() && std::holds_alternative<int64_t>(found->second);
  return is_integer ? static_cast<double>(integer(key)) : get<double>(key, "a number");
}

std::vector<float> GgufFile::read_f32(const GgufTensor& tensor) const {
  std::vector<std::byte> blocks(tensor.num_bytes);
  file_.read_at(tensor.offset, blocks);
  return dequantize(tensor.type, blocks);
}

}  // namespace noregret
