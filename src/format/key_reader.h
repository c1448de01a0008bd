#pragma once

#include <cstdint>
#include <string>

#include "noregret/base/json.h"

namespace noregret {

// Reads keys of a JSON object. A null value counts as absent, as it does in Hugging Face's files.
// Throws DataError naming place, key, value and what was wanted.
class KeyReader {
 public:
  KeyReader(const Json& object, std::string where);

  bool has(const char* key) const;
  const Json& at(const char* key) const;  // throws when absent
  int64_t integer(const char* key, int64_t low, int64_t high) const;
  double number(const char* key) const;    // finite
  double positive(const char* key) const;  // finite and > 0
  std::string string(const char* key) const;
  bool boolean_or(const char* key, bool otherwise) const;

  const std::string& where() const { return where_; }
  const Json& object() const { return object_; }
  // "<where>: <key> <what>"
  [[noreturn]] void fail(const std::string& key, const std::string& what) const;

 private:
  const Json& object_;
  std::string where_;
};

// A value in one line of an error, cut where it is long.
std::string json_excerpt(const Json& value);

}  // namespace noregret
