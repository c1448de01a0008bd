#pragma once

#include <string>
#include <string_view>

#include "noregret/grade/expr.h"

namespace noregret::math {

// How a comma between groups of three digits reads outside of brackets: 1,000 is a number or two of them.
enum class Commas { kGroupThousands, kSeparate };

struct Parsed {
  enum class Status { kOk, kEmpty, kUnparsable, kOverCap };
  Status status = Status::kEmpty;
  Expr expr;        // when kOk
  std::string why;  // else
  bool is_ok() const { return status == Status::kOk; }
};

// Reads one answer in LaTeX or plain notation. Nothing is worked out, looked up or run: a text becomes a tree or it
// does not. Around the answer $, **, \boxed{...}, a final stop and quotes are left out.
//
// Caps: 512 bytes, 256 tokens, 32 levels, numbers of 1000 digits; beyond them kOverCap. Never throws on any bytes.
Parsed parse_answer(std::string_view answer, Commas commas = Commas::kGroupThousands);

// Letter case, brackets, final stops and spaces that do not matter between words left out.
std::string plain_words(std::string_view text);

}  // namespace noregret::math
