#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "noregret/base/input_file.h"

namespace noregret {

// A value of a GGUF file's metadata. Arrays are of one kind: strings, integers (booleans too) or floats.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<std::string>, std::vector<int64_t>,
                               std::vector<double>>;

struct GgufTensor {
  std::string name;
  std::vector<int64_t> shape;  // row-major, slowest first: [out, in] (the file has it the other way round)
  uint32_t type = 0;           // ggml type id: F32 0, F16 1, Q4_0 2, Q4_1 3, Q8_0 8, BF16 30
  uint64_t offset = 0;         // from the begin of the file
  uint64_t num_bytes = 0;
};

// A little-endian GGUF container, version 2 or 3 (ggml docs/gguf.md). Counts, lengths, sums and alignment are checked
// before allocation; tensors may not overlap or reach beyond the file. A tensor type other than F32, F16, BF16, Q8_0,
// Q4_0, Q4_1 is refused by name, arrays of arrays too. Throws DataError naming file and place.
class GgufFile {
 public:
  static GgufFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(std::string_view name) const;
  bool has(const std::string& key) const { return metadata_.count(key) > 0; }
  // Typed metadata; each throws DataError when the key is absent or of another kind.
  bool boolean(const std::string& key) const;
  const std::string& string(const std::string& key) const;
  int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;  // integers too
  const std::vector<std::string>& strings(const std::string& key) const;
  const std::vector<int64_t>& integers(const std::string& key) const;
  const std::map<std::string, GgufValue>& metadata() const { return metadata_; }

  // The tensor's values, dequantized: d*q (Q8_0), d*(q-8) (Q4_0), d*q+m (Q4_1), one f32 rounding an operation.
  std::vector<float> read_f32(const GgufTensor& tensor) const;

 private:
  template <class T>
  const T& get(const std::string& key, const char* want) const;

  explicit GgufFile(InputFile file) : file_(std::move(file)) {}
  InputFile file_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, GgufValue> metadata_;
};

}  // namespace noregret
