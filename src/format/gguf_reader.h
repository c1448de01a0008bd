#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "noregret/base/input_file.h"
#include "noregret/format/gguf.h"

namespace noregret {

// Reads the values of a GGUF file one after another. Every length is compared with what is left of the file before
// space is made for it. Throws DataError naming file, byte and what was read.
class GgufReader {
 public:
  explicit GgufReader(const InputFile& file) : file_(file) {}

  uint64_t position() const { return position_; }
  uint64_t num_left() const { return file_.size() - position_; }
  template <class T>
  T number(const char* what);  // fixed width, little-endian
  std::string string(const char* what, uint64_t max_bytes);
  // A number of things of which each takes at least `min_bytes` of the file.
  uint64_t count(const char* what, uint64_t min_bytes, uint64_t max_count);
  GgufValue value(uint32_t type, const std::string& key);
  [[noreturn]] void fail(const std::string& what) const;

 private:
  void read(void* out, size_t size, const char* what);
  template <class T>
  int64_t integer();
  GgufValue array(const std::string& key);
  template <class T>
  std::vector<int64_t> integers(uint64_t count);
  template <class T>
  std::vector<double> floats(uint64_t count);

  const InputFile& file_;
  uint64_t position_ = 0;
  std::vector<std::byte> buffer_;  // what was read ahead
  uint64_t buffer_begin_ = 0;      // where it lies in the file
};

}  // namespace noregret
