#include "grade_worker/judge.h"

#include <set>
#include <vector>

#include "grade_worker/ball.h"
#include "grade_worker/flint_rational.h"
#include "grade_worker/rational_function.h"
#include "noregret/base/rng.h"
#include "noregret/grade/rational.h"

namespace noregret::math {
namespace {

constexpr int kPoints = 8;
constexpr int kMaxPoints = 32;  // tried, for those where a side has no value
constexpr long kPrecision = 256;
constexpr long kTiny = -100;

bool is_letter(const Expr& expr) {
  return expr.is(Kind::kSymbol) || expr.is(Kind::kCall) || expr.is(Kind::kOperator) || expr.is(Kind::kFunction);
}

// What has no known value: symbols, calls, sums with bounds, and functions that balls do not know.
void collect_letters(const Expr& expr, std::set<std::string>& letters) {
  if (is_letter(expr)) letters.insert(canonical(expr));
  if (expr.is(Kind::kCall) || expr.is(Kind::kOperator)) return;
  for (const Expr& arg : expr.args) collect_letters(arg, letters);
}

bool has_kind(const Expr& expr, Kind kind) {
  return any_of(expr, [kind](const Expr& part) { return part.is(kind); });
}

bool has_bare_log(const Expr& expr) {
  return any_of(expr, [](const Expr& part) { return part.is(Kind::kFunction, "log") && part.args.size() == 1; });
}

uint64_t hash_of(const std::string& text) {  // FNV-1a
  uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

// Points whose letters are real, of both signs, from 1/8 to 4: the first two are all positive and all negative.
class Points {
 public:
  Points(const Expr& a, const Expr& b, bool log_is_decimal)
      : rng_(Rng::stream(hash_of(canonical(a) + "\n" + canonical(b)), Purpose::kEval, {})),
        log_is_decimal_(log_is_decimal) {
    collect_letters(a, letters_);
    collect_letters(b, letters_);
  }

  Point next() {
    Point point;
    point.log_is_decimal = log_is_decimal_;
    const int number = count_++;
    for (const std::string& letter : letters_) {
      const bool is_negative = number == 0 ? false : number == 1 ? true : rng_.below(2) == 1;
      const auto above = static_cast<slong>(125 + rng_.below(3875));
      mpq_class value(is_negative ? -above : above, 1009);  // a prime, so that no two are related by small factors
      value.canonicalize();
      acb_set_fmpq(point.letters[letter].get(), FlintRational(value).get(), kPrecision);
    }
    return point;
  }

 private:
  std::set<std::string> letters_;
  Rng rng_;
  bool log_is_decimal_;
  int count_ = 0;
};

Outcome outcome_of(Truth truth, int tier) {
  switch (truth) {
    case Truth::kTrue:
      return {Judgement::kEqual, tier};
    case Truth::kFalse:
      return {Judgement::kNotEqual, tier};
    default:
      return {Judgement::kUnknown, tier};
  }
}

bool is_apart(const Expr& a, const Expr& b, const Point& point, long precision) {
  const Ball left = evaluate(a, point, precision);
  const Ball right = evaluate(b, point, precision);
  return left.is_finite() && right.is_finite() && !left.overlaps(right);
}

}  // namespace

Outcome Judge::same(const Expr& a, const Expr& b) {
  for (const Expr* side : {&a, &b}) {
    if (any_of(*side, [](const Expr& part) { return is_structure(part); })) return {Judgement::kUnknown, 2};
  }
  const Outcome natural = same_with(a, b, false);
  if (!has_bare_log(a) && !has_bare_log(b)) return natural;
  // "log" may mean either: what holds must hold for both
  const Outcome decimal = same_with(a, b, true);
  if (natural.judgement == decimal.judgement) return natural;
  return {Judgement::kNotEqual, natural.tier};
}

Outcome Judge::same_with(const Expr& a, const Expr& b, bool log_is_decimal) const {
  const bool is_constant = !has_unknowns(a) && !has_unknowns(b);
  if (is_constant) return same_constants(a, b, log_is_decimal);
  const Outcome functions = outcome_of(equal_functions(a, b), 3);
  if (functions.judgement != Judgement::kUnknown) return functions;
  return same_at_points(a, b, log_is_decimal);
}

Outcome Judge::same_constants(const Expr& a, const Expr& b, bool log_is_decimal) const {
  Point point;
  point.log_is_decimal = log_is_decimal;
  for (const long precision : {128L, 320L}) {
    if (is_apart(a, b, point, precision)) return {Judgement::kNotEqual, 2};
  }
  const Truth truth = equal_constants(a, b, log_is_decimal);
  if (truth != Truth::kUnknown) return outcome_of(truth, 2);
  if (is_apart(a, b, point, 1024)) return {Judgement::kNotEqual, 2};
  if (!options_.accept_overlap_300_bits) return {Judgement::kUnknown, 2};
  const Ball left = evaluate(a, point, 400);
  const Ball right = evaluate(b, point, 400);
  const bool is_close = left.is_tiny(-300) && right.is_tiny(-300) && left.overlaps(right);
  return {is_close ? Judgement::kEqual : Judgement::kUnknown, 2};
}

Outcome Judge::same_at_points(const Expr& a, const Expr& b, bool log_is_decimal) const {
  Points points(a, b, log_is_decimal);
  const bool is_opaque = has_kind(a, Kind::kOperator) || has_kind(b, Kind::kOperator);
  int num_close = 0;
  for (int i = 0; i < kMaxPoints && num_close < kPoints; ++i) {
    const Point point = points.next();
    const Ball left = evaluate(a, point, kPrecision);
    const Ball right = evaluate(b, point, kPrecision);
    if (!left.is_finite() || !right.is_finite()) continue;
    if (!left.overlaps(right)) return {is_opaque ? Judgement::kUnknown : Judgement::kNotEqual, 4};
    num_close += left.is_tiny(kTiny) && right.is_tiny(kTiny) ? 1 : 0;
  }
  const bool is_equal = num_close >= kPoints && options_.accept_numeric;
  return {is_equal ? Judgement::kEqual : Judgement::kUnknown, 4};
}

Outcome Judge::proportional(const Expr& a, const Expr& b, bool positive) {
  const Proportion exact = proportion(a, b);
  if (exact.truth == Truth::kFalse) return {Judgement::kNotEqual, 3};
  if (exact.truth == Truth::kTrue && (!positive || exact.sign != 0)) {
    return {!positive || exact.sign > 0 ? Judgement::kEqual : Judgement::kNotEqual, 3};
  }
  Points points(a, b, false);
  Ball first;
  int num_close = 0;
  for (int i = 0; i < kMaxPoints && num_close < kPoints; ++i) {
    const Point point = points.next();
    const Ball above = evaluate(a, point, kPrecision);
    const Ball below = evaluate(b, point, kPrecision);
    if (above.contains_zero() || below.contains_zero()) continue;
    Ball ratio;
    acb_div(ratio.get(), above.get(), below.get(), kPrecision);
    if (!ratio.is_finite() || !ratio.is_tiny(kTiny)) continue;
    if (positive && arb_is_positive(acb_realref(ratio.get())) == 0) return {Judgement::kNotEqual, 4};
    if (num_close == 0) first = ratio;
    if (!ratio.overlaps(first)) return {Judgement::kNotEqual, 4};
    ++num_close;
  }
  const bool is_equal = num_close >= kPoints && options_.accept_numeric && !has_bare_log(a) && !has_bare_log(b);
  return {is_equal ? Judgement::kEqual : Judgement::kUnknown, 4};
}

Outcome Judge::rounds(const Expr& value, const Expr& decimal) {
  const Point point;
  const Ball exact = evaluate(value, point, kPrecision);
  const auto said = rational_value(decimal);
  if (!exact.is_finite() || !said || has_bare_log(value) || acb_is_real(exact.get()) == 0) {
    return {Judgement::kNotEqual, 2};
  }
  const Expr& number = decimal.is(Kind::kNegative) ? decimal.args[0] : decimal;
  mpz_class unit;
  mpz_ui_pow_ui(unit.get_mpz_t(), 10, static_cast<unsigned long>(decimals_of(number)));
  const mpq_class half = mpq_class(1, 2) / mpq_class(unit);
  const auto is_beyond = [&](const mpq_class& bound, bool is_upper) {
    fmpq_t rational;
    fmpq_init(rational);
    fmpq_set_mpq(rational, bound.get_mpq_t());
    arb_t edge;
    arb_init(edge);
    arb_set_fmpq(edge, rational, kPrecision);
    const arb_srcptr real = acb_realref(exact.get());
    const bool is_within = is_upper ? arb_le(real, edge) != 0 : arb_ge(real, edge) != 0;
    arb_clear(edge);
    fmpq_clear(rational);
    return !is_within;
  };
  const bool is_rounded = !is_beyond(*said + half, true) && !is_beyond(*said - half, false);
  return {is_rounded ? Judgement::kEqual : Judgement::kNotEqual, 2};
}

}  // namespace noregret::math
