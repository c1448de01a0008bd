#pragma once

#include <optional>
#include <string>
#include <vector>

#include "noregret/grade/expr.h"

// Other forms of an answer that say the same.
namespace noregret::math {

// One tree for each sign of a plus-minus; all signs of a tree go together. {expr} where there is none.
std::vector<Expr> expand_plus_minus(const Expr& expr);

// The values that the answer lists: the items of a list, with plus-minus signs expanded.
std::vector<Expr> items_of(const Expr& expr);

// Sums and multiples of matrices as one matrix; nothing where they do not fit.
std::optional<Expr> fold_matrices(const Expr& expr);

// Does the tree only name a quantity: x, f(x), AB, AB/CD, (x, y)?
bool is_name(const Expr& expr);

// An inequality as what its variable may be: x > 5 as (5, infinity), "x < 1 or x > 3" as a union.
struct NamedSet {
  std::string name;  // canonical
  Expr set;
};
std::optional<NamedSet> solution_set(const Expr& expr);

bool is_equation(const Expr& expr);    // relations that are all =
bool is_inequality(const Expr& expr);  // two sides with < <= > >= or !=
Expr difference(const Expr& a, const Expr& b);

}  // namespace noregret::math
