#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace noregret {

// Longer answers are not read at all.
constexpr size_t kMaxAnswerBytes = 512;

// A decimal number read from text. Nothing is rounded: no floating point is involved.
struct NumberText {
  enum class Status { kOk, kMissing, kUnparsable, kOverCap };
  Status status = Status::kMissing;
  // When kOk: digits without leading zeros, a fraction without trailing ones, "-" below zero. Two numbers are equal
  // exactly when these texts are.
  std::string canonical;
};

// Reads a whole answer, one line, as one number:
//
//   sign          -5, +5, U+2212; before or after a currency sign
//   thousands     1,234,567 in groups of three, also with a space, a thin space, "{,}", ",\!" or "\,"; never a decimal
//   comma decimals      18 = 18.0 = 18.00, .5 = 0.5 around it     $ (also "\$") and other currency signs, *, %, quotes,
//   a final "." or ",", \boxed{...}, \(...\), spaces after it      words of two letters and more, as units, unless they
//   change the value ("2 million", "5 or six", "3 half")
//
// Anything else is kUnparsable: a second number ("5 or 6", "7/14", "4 10/3"), an operator, a letter ("5k", "2x"), a
// bracket. What a reader might take for another value is not guessed: a wrong answer paid as right is worse than a
// right one missed.
NumberText read_number(std::string_view answer);

}  // namespace noregret
