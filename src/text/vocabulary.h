#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "noregret/base/json.h"

namespace noregret::text {

// Ids lie in [0, kMaxIds): four times the largest vocabulary in use, and small enough for a table.
constexpr int64_t kMaxIds = int64_t{1} << 20;

// Lets a table of strings be asked with a string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class T>
using StringMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

// Tokens and ids, one to one; ids may have gaps.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  // Throws DataError when the id is out of range or taken by another token, or the token has another id.
  void add(const std::string& token, int64_t id, const std::string& where);

  std::optional<int64_t> find(std::string_view token) const;
  const std::string* token(int64_t id) const;                            // null: no such id
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }  // largest id + 1

 private:
  std::vector<const std::string*> tokens_;  // keys of ids_, which stay where they are
  StringMap<int64_t> ids_;
};

// The "vocab" object of a BPE model. Throws DataError.
Vocabulary read_vocabulary(const Json& object, const std::string& where);

// An id as a JSON value. Throws DataError naming `token`.
int64_t read_id(const Json& value, std::string_view token, const std::string& where);

}  // namespace noregret::text
