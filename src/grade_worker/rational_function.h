#pragma once

#include <optional>

#include "grade_worker/exact_field.h"

namespace noregret::math {

// Trees as quotients of polynomials in their letters; what is neither (a root, a function, pi) counts as a letter of
// its own. At most 8 letters, degree 64 and 2000 terms.

// kTrue: equal as rational functions, whatever the letters stand for. kFalse: not, where all letters are free or pi,
// which is transcendental. Else kUnknown: two roots may be related.
Truth equal_functions(const Expr& a, const Expr& b);

// Is a = c * b for a constant c other than 0? `sign` is that of c where c is rational, else 0.
struct Proportion {
  Truth truth = Truth::kUnknown;
  int sign = 0;
};
Proportion proportion(const Expr& a, const Expr& b);

}  // namespace noregret::math
