#include "format/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <type_traits>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in the file");

constexpr uint64_t kBufferBytes = 1 << 16;
constexpr uint64_t kMaxStringBytes = 1 << 24;
constexpr uint64_t kMaxArray = 1 << 22;  // elements; the largest published vocabularies have 2^18

// Types of metadata values (ggml docs/gguf.md, gguf_metadata_value_type).
enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

}  // namespace

void GgufReader::fail(const std::string& what) const {
  throw DataError(cat(file_.path().string(), ": at byte ", position_, ": ", what));
}

void GgufReader::read(void* out, size_t size, const char* what) {
  if (size > num_left()) {
    fail(cat(what, " takes ", size, " bytes, the file has ", num_left(), " more; it was cut off, fetch it again"));
  }
  auto* bytes = static_cast<std::byte*>(out);
  while (size > 0) {
    if (position_ < buffer_begin_ || position_ >= buffer_begin_ + buffer_.size()) {
      buffer_.resize(std::min(kBufferBytes, num_left()));
      buffer_begin_ = position_;
      file_.read_at(position_, buffer_);
    }
    const size_t begin = position_ - buffer_begin_;
    const size_t num_copied = std::min(size, buffer_.size() - begin);
    std::memcpy(bytes, buffer_.data() + begin, num_copied);
    bytes += num_copied;
    position_ += num_copied;
    size -= num_copied;
  }
}

template <class T>
T GgufReader::number(const char* what) {
  T value;
  read(&value, sizeof value, what);
  return value;
}
template uint32_t GgufReader::number<uint32_t>(const char*);
template uint64_t GgufReader::number<uint64_t>(const char*);

uint64_t GgufReader::count(const char* what, uint64_t min_bytes, uint64_t max_count) {
  const auto count = number<uint64_t>(what);
  const uint64_t limit = std::min(max_count, num_left() / min_bytes);
  if (count > limit) fail(cat(what, " is ", count, ", want at most ", limit, "; the file is damaged"));
  return count;
}

std::string GgufReader::string(const char* what, uint64_t max_bytes) {
  const uint64_t size = count(what, 1, max_bytes);
  std::string text(size, '\0');
  read(text.data(), size, what);
  return text;
}

template <class T>
int64_t GgufReader::integer() {
  const T value = number<T>("an integer");
  if constexpr (std::is_same_v<T, uint64_t>) {
    if (value > static_cast<uint64_t>(INT64_MAX)) fail(cat("an integer is ", value, ", which does not fit 63 bits"));
  }
  return static_cast<int64_t>(value);
}

GgufValue GgufReader::value(uint32_t type, const std::string& key) {
  switch (type) {
    case kU8:
      return integer<uint8_t>();
    case kI8:
      return integer<int8_t>();
    case kU16:
      return integer<uint16_t>();
    case kI16:
      return integer<int16_t>();
    case kU32:
      return integer<uint32_t>();
    case kI32:
      return integer<int32_t>();
    case kU64:
      return integer<uint64_t>();
    case kI64:
      return integer<int64_t>();
    case kF32:
      return static_cast<double>(number<float>("a number"));
    case kF64:
      return number<double>("a number");
    case kString:
      return string("a string", kMaxStringBytes);
    case kArray:
      return array(key);
    case kBool:
      break;
    default:
      fail(cat("key ", quoted(key), " has the unknown type ", type, ", want 0 to 12"));
  }
  const auto byte = number<uint8_t>("a boolean");
  if (byte > 1) fail(cat("key ", quoted(key), ": a boolean is ", int{byte}, ", want 0 or 1"));
  return byte == 1;
}

template <class T>
std::vector<int64_t> GgufReader::integers(uint64_t count) {
  std::vector<int64_t> values(count);
  for (int64_t& value : values) value = integer<T>();
  return values;
}

template <class T>
std::vector<double> GgufReader::floats(uint64_t count) {
  std::vector<double> values(count);
  for (double& value : values) value = static_cast<double>(number<T>("a number"));
  return values;
}

GgufValue GgufReader::array(const std::string& key) {
  const auto type = number<uint32_t>("an array's type");
  constexpr uint64_t kElementBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
  if (type > kF64) fail(cat("key ", quoted(key), " is an array of the unknown type ", type, ", want 0 to 12"));
  if (type == kArray) fail(cat("key ", quoted(key), " is an array of arrays, which is not supported"));
  const uint64_t num_elements = count("the length of an array", kElementBytes[type], kMaxArray);
  switch (type) {
    case kU8:
    case kBool:
      return integers<uint8_t>(num_elements);
    case kI8:
      return integers<int8_t>(num_elements);
    case kU16:
      return integers<uint16_t>(num_elements);
    case kI16:
      return integers<int16_t>(num_elements);
    case kU32:
      return integers<uint32_t>(num_elements);
    case kI32:
      return integers<int32_t>(num_elements);
    case kU64:
      return integers<uint64_t>(num_elements);
    case kI64:
      return integers<int64_t>(num_elements);
    case kF32:
      return floats<float>(num_elements);
    case kF64:
      return floats<double>(num_elements);
    default:
      break;
  }
  std::vector<std::string> strings;
  strings.reserve(num_elements);
  for (uint64_t i = 0; i < num_elements; ++i) strings.push_back(string("a string", kMaxStringBytes));
  return strings;
}

}  // namespace noregret
