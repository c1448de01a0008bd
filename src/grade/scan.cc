#include "grade/scan.h"

#include <algorithm>

namespace noregret::scan {
namespace {

constexpr std::string_view kSpace = " \t\r\n\v\f";

// Words that make another value of the number before them, or put a second one beside it.
constexpr auto kNoUnits = std::to_array<std::string_view>({
    "hundred",   "hundreds", "thousand", "thousands", "million",    "millions",   "billion",     "billions", "trillion",
    "trillions", "bn",       "grand",    "dozen",     "dozens",     "half",       "halves",      "third",    "thirds",
    "quarter",   "quarters", "fourth",   "fourths",   "fifth",      "fifths",     "sixth",       "sixths",   "eighth",
    "eighths",   "tenth",    "tenths",   "hundredth", "hundredths", "thousandth", "thousandths", "squared",  "cubed",
    "factorial", "plus",     "minus",    "times",     "over",       "divided",    "multiplied",  "mod",      "or",
    "and",       "to",       "point",    "pi",        "root",       "negative",   "not",
});

constexpr std::array<std::string_view, 7> kThousands = {
    "{,}", ",\\!", ",", "\\,", " ", "\xE2\x80\x89", "\xE2\x80\xAF",  // U+2009 thin space, U+202F narrow no-break space
};

size_t count_digits(std::string_view text) {
  return static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

}  // namespace

std::string_view trim_end(std::string_view text) {
  const size_t last = text.find_last_not_of(kSpace);
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? std::string_view() : trim_end(text.substr(first));
}

std::string Literal::canonical(bool is_negative) const {
  const size_t first = std::min(digits.find_first_not_of('0'), digits.size());
  const size_t last = fraction.find_last_not_of('0');
  std::string text = first == digits.size() ? "0" : digits.substr(first);
  if (last != std::string::npos) text += "." + fraction.substr(0, last + 1);
  return is_negative && text != "0" ? "-" + text : text;
}

Literal scan_literal(std::string_view text, Grouping grouping) {
  Literal literal;
  size_t pos = count_digits(text);
  literal.digits = text.substr(0, pos);
  const std::string_view rest = text.substr(pos);
  const std::string_view separator =
      grouping == Grouping::kAll ? leading(rest, kThousands) : rest.substr(0, rest.starts_with(','));
  const bool may_have_groups = pos >= 1 && pos <= 3 && text[0] != '0' && !separator.empty();
  while (may_have_groups && text.substr(pos).starts_with(separator)) {
    const std::string_view group = text.substr(pos + separator.size());
    if (count_digits(group) != 3) break;
    literal.digits += group.substr(0, 3);
    pos += separator.size() + 3;
  }
  if (text.substr(pos).starts_with('.')) {
    const size_t size = count_digits(text.substr(pos + 1));
    literal.fraction = text.substr(pos + 1, size);
    if (size > 0) pos += 1 + size;
  }
  literal.size = pos;
  return literal;
}

bool is_unit(std::string_view word) {
  if (word.size() < 2) return false;
  std::string lower(word);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(kNoUnits.begin(), kNoUnits.end(), lower) == kNoUnits.end();
}

}  // namespace noregret::scan
