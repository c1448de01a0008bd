#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// An answer as a tree. Built by the parser (parse.h) and never changed: who wants another tree makes one.
namespace noregret::math {

enum class Kind : uint8_t {
  // values
  kNumber,     // text: digits, or digits.digits; never signed, no leading zeros
  kBase,       // text: "digits_base", upper case
  kSymbol,     // text: the name, with its subscript and marks
  kConstant,   // text: pi, e, i, infinity
  kText,       // text: lower case unless it is one letter, one space between words
  kSum,        // args
  kProduct,    // args
  kNegative,   // [x]
  kQuotient,   // [above, below]
  kPower,      // [base, exponent]
  kRoot,       // [x, degree]
  kMixed,      // [whole, quotient]: 1 1/4
  kFactorial,  // [x]
  kPlusMinus,  // [a, b] or [b]; text: "+-" or "-+"
  kPercent,    // [x]
  kDegrees,    // [x]
  kUnit,       // [x]; text: the unit
  kFunction,   // text: sin, log, abs, binom ...; args. log without a base has one argument
  kCall,       // text: the name; args. f(x): nothing is known of it
  kOperator,   // text: sum, integral, limit, product ...; args: its bounds and what stands under it
  // structures
  kTuple,     // text: the two brackets, as in "[)"
  kSet,       // args
  kList,      // text: "," or "or"
  kUnion,     // args
  kSetMinus,  // [a, b]
  kIntersection,
  kMatrix,    // text: "rows columns"; args by rows
  kRatio,     // args: 3:5, 12:30
  kRelation,  // text: operators by commas, one fewer than args: = < <= > >= != in ~
};

struct Expr {
  Kind kind = Kind::kText;
  std::string text;
  std::vector<Expr> args;

  bool is(Kind other) const { return kind == other; }
  bool is(Kind other, std::string_view other_text) const { return kind == other && text == other_text; }
};

inline Expr make(Kind kind, std::string_view text, std::vector<Expr> args = {}) {
  return Expr{kind, std::string(text), std::move(args)};
}

// A text that is equal for equal trees, the order of sums, products, sets and unions aside.
std::string canonical(const Expr& expr);

// Does the predicate hold for the tree or any part of it?
template <class Predicate>
bool any_of(const Expr& expr, const Predicate& predicate) {
  if (predicate(expr)) return true;
  for (const Expr& arg : expr.args) {
    if (any_of(arg, predicate)) return true;
  }
  return false;
}

bool is_structure(const Expr& expr);                      // a tuple, set, list ...: no value that arithmetic takes
bool has_unknowns(const Expr& expr);                      // symbols, calls, operators, words
std::vector<std::string> operators_of(const Expr& expr);  // of a relation
int64_t count_operations(const Expr& expr);               // sums, products, powers, functions

}  // namespace noregret::math
