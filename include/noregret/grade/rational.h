#pragma once

#include <gmpxx.h>

#include <optional>

#include "noregret/grade/expr.h"

namespace noregret::math {

// The exact value of a tree without roots, letters and functions, or nothing. Nothing larger than 4096 bits by a power,
// no factorial beyond 500: those stay symbols.
std::optional<mpq_class> rational_value(const Expr& expr);

// 1.50 -> 2 digits behind the point, 3 significant ones.
int decimals_of(const Expr& number);
int significant_digits_of(const Expr& number);

}  // namespace noregret::math
