#include <algorithm>

#include "grade/scan.h"
#include "noregret/grade/gsm8k.h"

namespace noregret {
namespace {

using scan::is_digit;
using scan::is_letter;
using scan::kCurrency;
using scan::leading;
using scan::trailing;
using Status = NumberText::Status;

constexpr std::string_view kNumberBytes = "0123456789.,";
constexpr auto kBoxes = std::to_array<std::string_view>({scan::kBox});

bool is_operand_end(char c) { return is_digit(c) || c == ')' || c == '}'; }
bool ends_in_operand(std::string_view text) {
  return !text.empty() && (is_operand_end(text.back()) || is_letter(text.back()));
}

std::string_view without_spaces_at_end(std::string_view text) {
  const size_t last = text.find_last_not_of(" \t");
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

std::string_view last_line(std::string_view text) { return text.substr(text.rfind('\n') + 1); }

// Is the number behind this text a part of an expression or of a word?
bool is_joined_before(std::string_view line) {
  if (line.empty()) return false;
  const char previous = line.back();
  if (is_letter(previous) || is_digit(previous) || static_cast<signed char>(previous) < 0) return true;
  const std::string_view before_it = line.substr(0, line.size() - 1);
  if (previous == '(') return ends_in_operand(before_it);
  if (previous == ':') return !before_it.empty() && is_digit(before_it.back());  // 12:30
  line = without_spaces_at_end(line);
  if (line.empty()) return false;
  if (static_cast<signed char>(line.back()) < 0) return true;  // a sign outside ASCII, as U+00D7
  if (std::string_view("/^_\\{<>~").find(line.back()) != std::string_view::npos) return true;
  if (line.back() == '-' || line.back() == '+')
    return ends_in_operand(without_spaces_at_end(line.substr(0, line.size() - 1)));
  if (line.back() != '*') return false;
  const std::string_view before = line.substr(0, line.find_last_not_of('*') + 1);  // "**18**" is bold, "3*18" a product
  if (line.size() - before.size() == 1) return ends_in_operand(without_spaces_at_end(before));
  const std::string_view operand = without_spaces_at_end(before);
  return !operand.empty() && is_operand_end(operand.back());
}

// Does what follows on the line make another value of the number?
bool is_joined_after(std::string_view line, bool is_boxed) {
  if (is_boxed) {
    if (!line.starts_with('}')) return true;
    line.remove_prefix(1);
  }
  line.remove_prefix(std::min(line.find_first_not_of(")]\"'"), line.size()));
  const size_t first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return false;
  line.remove_prefix(first);
  if (is_letter(line[0])) {
    size_t end = 0;
    while (end < line.size() && is_letter(line[end])) ++end;
    return !scan::is_unit(line.substr(0, end));
  }
  if (line[0] == '*') return line.size() > 1 && line[1] != '*' && line[1] != '\r';
  const bool is_plain = std::string_view("%.,;:?\"'`)]").find(line[0]) != std::string_view::npos;
  return !is_plain && leading(line, kCurrency).empty() && !line.starts_with("\\%") && !line.starts_with("\\)");
}

// The number's own sign, taken off the end of `before`; nothing where it is an operator.
std::string_view take_sign(std::string_view& before) {
  const std::string_view sign = trailing(before, scan::kSigns);
  const std::string_view rest = before.substr(0, before.size() - sign.size());
  if (sign.empty() || (!rest.empty() && is_letter(rest.back()))) return {};
  const std::string_view operand = without_spaces_at_end(rest);
  if (!operand.empty() && is_operand_end(operand.back())) return {};
  before = rest;
  return sign;
}

}  // namespace

NumberText last_number(std::string_view completion, bool is_truncated) {
  const size_t last = completion.find_last_of("0123456789");
  if (last == std::string_view::npos) return {Status::kMissing, ""};
  const std::string_view after = completion.substr(last + 1);
  if (is_truncated && after.find_first_not_of(".,") == std::string_view::npos) return {Status::kMissing, ""};
  const size_t outside = completion.substr(0, last).find_last_not_of(kNumberBytes);
  std::string_view number = completion.substr(outside + 1, last - outside);
  if (number.starts_with("..")) number.remove_prefix(number.find_first_not_of('.'));  // "..." before it
  if (number.size() > kMaxAnswerBytes) return {Status::kOverCap, ""};
  std::string_view before = last_line(completion.substr(0, static_cast<size_t>(number.data() - completion.data())));
  before.remove_suffix(trailing(before, kCurrency).size());
  const std::string_view sign = take_sign(before);
  before.remove_suffix(trailing(before, kCurrency).size());
  const bool is_boxed = !trailing(before, kBoxes).empty();
  before.remove_suffix(trailing(before, kBoxes).size());
  const scan::Literal literal = scan::scan_literal(number, scan::Grouping::kCommas);
  if (literal.size != number.size() || is_joined_before(before) ||
      is_joined_after(after.substr(0, after.find('\n')), is_boxed)) {
    return {Status::kUnparsable, ""};
  }
  return {Status::kOk, literal.canonical(!sign.empty() && sign != "+")};
}

}  // namespace noregret
