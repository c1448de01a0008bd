#include "noregret/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/utf8.h"

namespace noregret {
namespace {

constexpr size_t kMaxQuoted = 80;     // characters
constexpr size_t kMaxNameSize = 200;  // bytes; nothing longer is a misspelt name

// Lays the shortest digits out as people write numbers: 0.0001 and 120000, but 1e-5 and 1.5e+16.
template <class T>
std::string shortest_text(T value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer;
  const auto scientific = std::to_chars(buffer.begin(), buffer.end(), value, std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(scientific.ptr - buffer.data()));
  const size_t exponent_at = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(exponent_at + 1)).c_str());
  if (exponent < -4 || exponent > 15) {
    return std::string(text.substr(0, exponent_at)) + (exponent < 0 ? "e-" : "e+") + std::to_string(std::abs(exponent));
  }
  const auto fixed = std::to_chars(buffer.begin(), buffer.end(), value, std::chars_format::fixed);
  return std::string(buffer.data(), fixed.ptr);
}

std::string hex_escape(const char* prefix, unsigned value, int num_digits) {
  std::string text = prefix;
  for (int shift = 4 * (num_digits - 1); shift >= 0; shift -= 4) text += "0123456789abcdef"[(value >> shift) & 15];
  return text;
}

// One character of `text` at `at`, `size` bytes long (0: not UTF-8), as it stands in an error line.
std::string escaped(std::string_view text, size_t at, size_t size) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (size == 0) return hex_escape("\\x", byte, 2);
  if (text[at] == '\n') return "\\n";
  if (text[at] == '\r') return "\\r";
  if (text[at] == '\t') return "\\t";
  if (byte < 0x20 || byte == 0x7f) return hex_escape("\\x", byte, 2);
  const bool is_c1_control = byte == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0;
  if (is_c1_control) return hex_escape("\\u", static_cast<unsigned char>(text[at + 1]), 4);
  return std::string(text.substr(at, size));
}

// Levenshtein distance: insertions, deletions and replacements of bytes.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string shortest(double value) { return shortest_text(value); }
std::string shortest(float value) { return shortest_text(value); }

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += separator;
    text += parts[i];
  }
  return text;
}

std::string quoted(std::string_view text) {
  constexpr std::string_view kCut = "...";
  std::string out = "'";
  size_t num_characters = 0;
  size_t cut_at = 0;  // where `out` ends if the rest does not fit
  for (size_t at = 0; at < text.size();) {
    const size_t size = utf8_sequence_size(text, at);
    const std::string piece = escaped(text, at, size);
    const bool is_escape = piece.size() > 1 && piece[0] == '\\';
    num_characters += is_escape ? piece.size() : 1;
    if (num_characters > kMaxQuoted) {
      out.resize(cut_at);
      return out + std::string(kCut) + "'";
    }
    out += piece;
    if (num_characters + kCut.size() <= kMaxQuoted) cut_at = out.size();
    at += std::max<size_t>(size, 1);
  }
  return out + "'";
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  if (name.size() > kMaxNameSize) return "";
  size_t best = std::max<size_t>(2, name.size() / 3) + 1;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    const size_t longer = std::max(name.size(), candidate.size());
    const size_t shorter = std::min(name.size(), candidate.size());
    if (longer - shorter >= best) continue;
    const size_t distance = edit_distance(name, candidate);
    if (distance >= best || distance == longer) continue;
    best = distance;
    nearest = candidate;
  }
  return nearest;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string nearest = nearest_name(name, candidates);
  return nearest.empty() ? "" : "; did you mean '" + nearest + "'?";
}

bool is_valid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t size = utf8_sequence_size(text, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

}  // namespace noregret
