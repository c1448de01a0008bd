#include "noregret/grade/compare.h"

#include <algorithm>

#include "grade/comparison.h"
#include "grade/normal.h"
#include "noregret/grade/rational.h"

namespace noregret::math {

bool is_list(const Expr& expr) {
  return expr.is(Kind::kList) || expr.is(Kind::kSet) ||
         any_of(expr, [](const Expr& part) { return part.is(Kind::kPlusMinus); });
}

bool has_unreduced_fraction(const Expr& expr) {
  return any_of(expr, [](const Expr& part) {
    const bool is_fraction =
        part.is(Kind::kQuotient) && part.args[0].is(Kind::kNumber) && part.args[1].is(Kind::kNumber);
    if (!is_fraction) return false;
    const auto above = rational_value(part.args[0]);
    const auto below = rational_value(part.args[1]);
    if (above->get_den() != 1 || below->get_den() != 1) return false;
    return mpz_class(gcd(above->get_num(), below->get_num())) > 1;
  });
}

Outcome compare(const Expr& gold, const Expr& prediction, const GradeOptions& options, LeafJudge* judge) {
  const std::optional<Expr> folded_gold = fold_matrices(gold);
  const std::optional<Expr> folded_prediction = fold_matrices(prediction);
  if (!folded_gold || !folded_prediction) return {Judgement::kUnknown, 0};
  if (options.require_reduced && has_unreduced_fraction(prediction) && canonical(gold) != canonical(prediction)) {
    return {Judgement::kNotEqual, 0};
  }
  return Comparison(options, judge).answers(*folded_gold, *folded_prediction);
}

}  // namespace noregret::math
