#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace noregret::text {

// Part of a text, in bytes.
struct Span {
  size_t begin = 0;
  size_t end = 0;
  size_t size() const { return end - begin; }
};

inline std::string_view part_of(std::string_view text, Span span) { return text.substr(span.begin, span.size()); }

struct CodePoint {
  char32_t value;
  size_t num_bytes;
};

// Both need valid UTF-8: the code point that begins at `at`, and the one that ends before `end` (> 0).
CodePoint code_point_at(std::string_view text, size_t at);
CodePoint code_point_before(std::string_view text, size_t end);

bool is_white_space(char32_t code_point);  // property White_Space
bool is_numeric(char32_t code_point);      // categories Nd, Nl, No
bool is_word(char32_t code_point);         // \w of UTS 18, annex C

// Each maximal part of an ill-formed sequence becomes one U+FFFD (The Unicode Standard, section 3.9).
std::string replace_invalid_utf8(std::string_view bytes);

// Normalization form C of valid UTF-8, in O(n log n).
std::string to_nfc(std::string_view text);

}  // namespace noregret::text
