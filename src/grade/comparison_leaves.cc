#include "grade/comparison.h"
#include "grade/normal.h"
#include "noregret/grade/rational.h"

namespace noregret::math {
namespace {

constexpr int64_t kMaxWorkedOperations = 16;

// A value without what is written around it: 5 of 5 cm, 60 of 60 degrees, 25 of 25 %.
struct Bare {
  Expr value;
  bool is_percent = false;
  std::string unit;
};

Bare bare_of(const Expr& expr) {
  Bare bare;
  switch (expr.kind) {
    case Kind::kPercent:
    case Kind::kDegrees:
    case Kind::kUnit:
      bare = bare_of(expr.args[0]);
      bare.is_percent = bare.is_percent || expr.is(Kind::kPercent);
      if (expr.is(Kind::kUnit)) bare.unit = expr.text;
      if (expr.is(Kind::kDegrees)) bare.unit = "degrees";
      return bare;
    case Kind::kNegative:
      bare = bare_of(expr.args[0]);
      bare.value = make(Kind::kNegative, "", {std::move(bare.value)});
      return bare;
    default:
      bare.value = expr;
      return bare;
  }
}

Outcome decided(bool is_equal, int tier) { return {is_equal ? Judgement::kEqual : Judgement::kNotEqual, tier}; }

const Expr& unsigned_part(const Expr& expr) { return expr.is(Kind::kNegative) ? expr.args[0] : expr; }

bool is_decimal(const Expr& expr) {
  const Expr& number = unsigned_part(expr);
  return number.is(Kind::kNumber) && decimals_of(number) > 0 && number.text.find('(') == std::string::npos;
}

// The decimal is at most half a unit of its last place away.
bool rounds_exactly(const mpq_class& value, const Expr& decimal) {
  mpz_class unit;
  mpz_ui_pow_ui(unit.get_mpz_t(), 10, static_cast<unsigned long>(decimals_of(unsigned_part(decimal))));
  const mpq_class distance = abs(value - *rational_value(decimal));
  return distance * 2 * mpq_class(unit) <= 1;
}

bool has_infinity(const Expr& expr) {
  return any_of(expr, [](const Expr& part) { return part.is(Kind::kConstant, "infinity"); });
}

}  // namespace

Outcome Comparison::leaves(const Expr& gold, const Expr& prediction) const {
  const Bare right = bare_of(gold);
  const Bare said = bare_of(prediction);
  if (options_.check_units && !right.unit.empty() && !said.unit.empty() && right.unit != said.unit) {
    return {Judgement::kNotEqual, 0};
  }
  const Outcome outcome = bare_leaves(right.value, said.value);
  const bool may_scale = options_.percent_as_fraction && right.is_percent != said.is_percent;
  if (!may_scale || outcome.judgement == Judgement::kEqual) return outcome;
  const Expr hundred = make(Kind::kNumber, "100");
  const auto fraction = [&](const Bare& bare) {
    return bare.is_percent ? make(Kind::kQuotient, "", {bare.value, hundred}) : bare.value;
  };
  const Outcome scaled = bare_leaves(fraction(right), fraction(said));
  return scaled.judgement == Judgement::kNotEqual ? outcome : scaled;
}

Outcome Comparison::bare_leaves(const Expr& gold, const Expr& prediction) const {
  if (canonical(gold) == canonical(prediction)) return {Judgement::kEqual, 0};
  if (has_infinity(gold) || has_infinity(prediction)) return {Judgement::kNotEqual, 0};
  const std::optional<mpq_class> right = rational_value(gold);
  const bool may_round = options_.tolerance_digits > 0 && is_decimal(prediction) &&
                         significant_digits_of(unsigned_part(prediction)) >= options_.tolerance_digits;
  if (right) {
    if (count_operations(prediction) > kMaxWorkedOperations) return {Judgement::kOverCap, 0};
    if (const std::optional<mpq_class> said = rational_value(prediction)) {
      return decided(*right == *said || (may_round && rounds_exactly(*right, prediction)), 1);
    }
  }
  if (judge_ == nullptr) return {Judgement::kUndecided, 2};
  const Outcome outcome = judge_->same(gold, prediction);
  if (outcome.judgement == Judgement::kEqual || !may_round || right || has_unknowns(gold)) return outcome;
  return judge_->rounds(gold, prediction);
}

}  // namespace noregret::math
