#pragma once

#include <string>
#include <string_view>
#include <vector>

// Tokens of an answer in LaTeX or plain notation.
namespace noregret::math {

struct ParseFailure {
  bool is_over_cap = false;
  std::string why;
};

struct Token {
  enum class Kind {
    kNumber,   // text: digits, digits.digits, or with a repeating part: 0.1(6)
    kLetter,   // one letter
    kWord,     // letters written together that are no product: sin, pi, and, cm, apples
    kCommand,  // text: the name without its backslash
    kText,     // text: what stands in \text{...}
    kSign,     // one character, or "\\", "\{", "\}", "<=", ">=", "!="
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;
  bool has_space = false;    // white space stands before it
  bool is_exponent = false;  // a number: "1.5e3"; text is "1.5", `exponent` the rest
  std::string exponent;

  bool is(Kind other, std::string_view other_text) const { return kind == other && text == other_text; }
  bool is_sign(std::string_view sign) const { return is(Kind::kSign, sign); }
  bool is_command(std::string_view name) const { return is(Kind::kCommand, name); }
};

// `commas_group`: outside of brackets "1,000" is one number. Throws ParseFailure.
std::vector<Token> tokenize(std::string_view text, bool commas_group);

// What changes nothing is dropped, other spellings become one: unicode signs, \left, spacing, \dfrac, currency signs.
std::string clean(std::string_view text);

bool is_function_name(std::string_view word);
bool is_unit_word(std::string_view word);  // of the closed list of units that may stand outside \text

}  // namespace noregret::math
