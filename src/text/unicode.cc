#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "noregret/base/check.h"

namespace noregret::text {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

struct Range {
  utf8proc_int32_t first;
  utf8proc_int32_t last;
};

// Code points that Unicode 10 to 14 gave a combining class or a decomposition. The tokenizers library normalizes by the
// tables of Unicode 9, where they have neither, and models are trained on its result.
// Origin: DerivedAge.txt and UnicodeData.txt of Unicode 14; compared with tokenizers 0.23.3 code point by code point.
constexpr std::array<Range, 34> kAfterUnicode9 = {
    {{0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},     {0xc3c, 0xc3c},
     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},   {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},
     {0xa82c, 0xa82c},   {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
     {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11930, 0x11930},
     {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34},
     {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97},
     {0x16ff0, 0x16ff1}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}}};

unsigned char byte_at(std::string_view text, size_t at) { return static_cast<unsigned char>(text[at]); }

bool is_continuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

struct Sequence {
  size_t num_bytes;
  bool is_whole;
};

// The sequence at `at`, or as much of one as is well-formed (The Unicode Standard, table 3-7).
Sequence sequence_at(std::string_view bytes, size_t at) {
  const unsigned char lead = byte_at(bytes, at);
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const size_t want = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (size_t i = 1; i < want; ++i) {
    if (at + i >= bytes.size() || byte_at(bytes, at + i) < low || byte_at(bytes, at + i) > high) return {i, false};
    low = 0x80;
    high = 0xbf;
  }
  return {want, true};
}

bool is_after_unicode_9(utf8proc_int32_t point) {
  const auto* range = std::lower_bound(kAfterUnicode9.begin(), kAfterUnicode9.end(), point,
                                       [](const Range& r, utf8proc_int32_t value) { return r.last < value; });
  return range != kAfterUnicode9.end() && range->first <= point;
}

// Canonical decomposition; marks between two starters are not in order yet.
std::vector<utf8proc_int32_t> decompose(std::string_view text) {
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  std::array<utf8proc_int32_t, 32> buffer;  // the longest canonical decomposition has 4 code points
  for (size_t at = 0; at < text.size();) {
    const CodePoint code_point = code_point_at(text, at);
    const auto point = static_cast<utf8proc_int32_t>(code_point.value);
    at += code_point.num_bytes;
    if (is_after_unicode_9(point)) {
      points.push_back(point);
      continue;
    }
    const auto count = utf8proc_decompose_char(point, buffer.data(), buffer.size(), UTF8PROC_DECOMPOSE, nullptr);
    NOREGRET_CHECK(count >= 0 && count <= static_cast<utf8proc_ssize_t>(buffer.size()), "decomposition ", count);
    points.insert(points.end(), buffer.begin(), buffer.begin() + count);
  }
  return points;
}

int combining_class(utf8proc_int32_t point) {
  return is_after_unicode_9(point) ? 0 : utf8proc_get_property(point)->combining_class;
}

// utf8proc sorts marks by swapping neighbours, which takes quadratic time on a text of marks alone.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  for (auto begin = points.begin(); begin != points.end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, points.end(), [](auto point) { return combining_class(point) == 0; });
    std::stable_sort(begin, end, [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

void append_utf8(const utf8proc_int32_t* points, utf8proc_ssize_t count, std::string& text) {
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    std::array<utf8proc_uint8_t, 4> buffer;
    const auto num_bytes = utf8proc_encode_char(points[i], buffer.data());
    text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(num_bytes));
  }
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t at) {
  const unsigned char lead = byte_at(text, at);
  if (lead < 0x80) return {lead, 1};
  const size_t num_bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  char32_t value = lead & (0x7f >> num_bytes);
  for (size_t i = 1; i < num_bytes; ++i) value = (value << 6) | (byte_at(text, at + i) & 0x3f);
  return {value, num_bytes};
}

CodePoint code_point_before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && is_continuation(byte_at(text, begin))) --begin;
  return code_point_at(text, begin);
}

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xd) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool is_word(char32_t c) {
  // Alphabetic, but neither letters nor marks: circled and squared Latin letters.
  if ((c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
      (c >= 0x1f170 && c <= 0x1f189)) {
    return true;
  }
  if (c == 0x200c || c == 0x200d) return true;  // Join_Control
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) || category == UTF8PROC_CATEGORY_PC;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    const Sequence sequence = sequence_at(bytes, at);
    text += sequence.is_whole ? bytes.substr(at, sequence.num_bytes) : kReplacement;
    at += sequence.num_bytes;
  }
  return text;
}

std::string to_nfc(std::string_view text) {
  // Below U+0300, whose first byte is 0xcc, every character is its own normal form and none composes with another.
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0xcc; })) {
    return std::string(text);
  }
  std::vector<utf8proc_int32_t> points = decompose(text);
  order_marks(points);
  std::string composed;
  composed.reserve(text.size());
  for (auto begin = points.begin(); begin != points.end();) {
    const auto end = std::find_if(begin, points.end(), is_after_unicode_9);
    const auto count = utf8proc_normalize_utf32(&*begin, end - begin,
                                                static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    NOREGRET_CHECK(count >= 0, "composition ", count);
    append_utf8(&*begin, count, composed);
    if (end != points.end()) append_utf8(&*end, 1, composed);
    begin = end == points.end() ? end : end + 1;
  }
  return composed;
}

}  // namespace noregret::text
