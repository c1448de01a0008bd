#include "noregret/grade/number.h"

#include "grade/scan.h"

namespace noregret {
namespace {

using scan::Grouping;
using scan::is_letter;
using scan::is_unit;
using scan::kBox;
using scan::kCurrency;
using scan::kSigns;
using scan::leading;
using scan::Literal;
using Status = NumberText::Status;

constexpr auto kBefore = std::to_array<std::string_view>({" ", "\t", "*", "\"", "`", ":", "\\(", "\\["});
constexpr auto kAfter = std::to_array<std::string_view>(
    {" ", "\t", "*", "\"", "`", "%", "\\%", ".", ",", "\\)", "\\]", "\xC2\xB0"});  // U+00B0 degree

// What stands around a number without changing it.
struct Prefix {
  size_t size = 0;
  bool is_negative = false;
  bool is_boxed = false;
};

Prefix scan_prefix(std::string_view text) {
  Prefix prefix;
  bool has_sign = false;
  bool has_currency = false;
  while (true) {
    const std::string_view rest = text.substr(prefix.size);
    std::string_view token;
    if (!has_sign) {  // a sign and its number stand together: "- 5" is a list item or a difference
      token = leading(rest, kBefore);
      if (token.empty() && !prefix.is_boxed && rest.starts_with(kBox)) {
        token = kBox;
        prefix.is_boxed = true;
      }
    }
    if (token.empty() && !has_currency) {
      token = leading(rest, kCurrency);
      has_currency = !token.empty();
    }
    if (token.empty() && !has_sign) {
      token = leading(rest, kSigns);
      has_sign = !token.empty();
      prefix.is_negative = has_sign && token != "+";
    }
    if (token.empty()) return prefix;
    prefix.size += token.size();
  }
}

// Bytes of the word, parts of which may be joined: "miles/hour", "foot-long". 0 = it is no unit.
size_t scan_units(std::string_view text) {
  size_t pos = 0;
  while (true) {
    size_t end = pos;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (!is_unit(text.substr(pos, end - pos))) return 0;
    const bool is_joined = end + 1 < text.size() && (text[end] == '-' || text[end] == '/') && is_letter(text[end + 1]);
    if (!is_joined) return end;
    pos = end + 1;
  }
}

bool is_harmless(std::string_view tail) {
  while (!tail.empty()) {
    size_t size = leading(tail, kAfter).size();
    if (size == 0) size = leading(tail, kCurrency).size();
    if (size == 0 && is_letter(tail[0])) size = scan_units(tail);
    if (size == 0) return false;
    tail.remove_prefix(size);
  }
  return true;
}

}  // namespace

NumberText read_number(std::string_view answer) {
  answer = scan::trim(answer);
  if (answer.empty()) return {Status::kMissing, ""};
  if (answer.size() > kMaxAnswerBytes) return {Status::kOverCap, ""};
  const Prefix prefix = scan_prefix(answer);
  answer.remove_prefix(prefix.size);
  const Literal literal = scan::scan_literal(answer, Grouping::kAll);
  if (literal.size == 0) return {Status::kUnparsable, ""};
  std::string_view tail = answer.substr(literal.size);
  if (prefix.is_boxed) {
    const size_t close = tail.find('}');
    if (close == std::string_view::npos || !is_harmless(tail.substr(0, close))) return {Status::kUnparsable, ""};
    tail.remove_prefix(close + 1);
  }
  if (!is_harmless(tail)) return {Status::kUnparsable, ""};
  return {Status::kOk, literal.canonical(prefix.is_negative)};
}

}  // namespace noregret
