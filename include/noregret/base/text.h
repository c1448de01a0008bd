#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace noregret {

// The fewest digits that read back to the same double: "0.0001", "120000", "1e-5", "nan", "inf", "-inf".
std::string shortest(double value);
std::string shortest(float value);  // the same for a float

namespace internal {
template <class T>
void put(std::ostringstream& out, const T& value) {
  if constexpr (std::is_floating_point_v<T>) {
    out << shortest(value);
  } else {
    out << value;
  }
}
}  // namespace internal

// The arguments printed one after another: cat("rank ", 8) is "rank 8". Floating-point values print as by shortest().
template <class... Args>
std::string cat(const Args&... args) {
  std::ostringstream out;
  (internal::put(out, args), ...);
  return out.str();
}

std::string join(const std::vector<std::string>& parts, std::string_view separator);

// `text` in single quotes, control characters and invalid UTF-8 escaped, cut to at most 80 characters: safe in one line
// of an error.
std::string quoted(std::string_view text);
// Exact matches, or std::quoted, which a std::string argument brings into the lookup, would be called.
inline std::string quoted(const std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(const char* text) { return quoted(std::string_view(text)); }

// The candidate with the smallest edit distance to `name` (the first of equals), or "" when none is within a third of
// its length (at least 2 edits), or when the edits would replace all of it.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

// "; did you mean 'x'?" or "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

bool is_valid_utf8(std::string_view text);

}  // namespace noregret
