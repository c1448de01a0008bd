#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace noregret::scan {

// The first of `tokens` that `text` begins (ends) with, or "".
template <size_t kSize>
std::string_view leading(std::string_view text, const std::array<std::string_view, kSize>& tokens) {
  for (const std::string_view token : tokens) {
    if (text.starts_with(token)) return token;
  }
  return {};
}
template <size_t kSize>
std::string_view trailing(std::string_view text, const std::array<std::string_view, kSize>& tokens) {
  for (const std::string_view token : tokens) {
    if (text.ends_with(token)) return token;
  }
  return {};
}

inline constexpr std::string_view kMinusSign = "\xE2\x88\x92";  // U+2212
inline constexpr std::string_view kBox = "\\boxed{";
// Dollar, euro, pound, yen.
inline constexpr std::array<std::string_view, 5> kCurrency = {"\\$", "$", "\xE2\x82\xAC", "\xC2\xA3", "\xC2\xA5"};
inline constexpr std::array<std::string_view, 3> kSigns = {"-", "+", kMinusSign};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
std::string_view trim(std::string_view text);  // ASCII white space
std::string_view trim_end(std::string_view text);

// Digits at the beginning of a text.
struct Literal {
  size_t size = 0;  // bytes of text, 0 = there is no number
  std::string digits;
  std::string fraction;
  std::string canonical(bool is_negative) const;
};
enum class Grouping { kCommas, kAll };
Literal scan_literal(std::string_view text, Grouping grouping);

// The word after a number is a unit, so the number's value stays what it is.
bool is_unit(std::string_view word);

}  // namespace noregret::scan
