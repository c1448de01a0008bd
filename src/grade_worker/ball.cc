#include "grade_worker/ball.h"

#include "grade_worker/flint_rational.h"
#include "noregret/grade/rational.h"

namespace noregret::math {
namespace {

// Beyond it the exponent of a result does not fit: 9^(9^(9^9)).
constexpr long kMaxExponentBits = 256;

void set_rational(Ball& ball, const mpq_class& value, long precision) {
  acb_set_fmpq(ball.get(), FlintRational(value).get(), precision);
}

void set_unknown(Ball& ball) { acb_indeterminate(ball.get()); }

class Evaluator {
 public:
  Evaluator(const Point& point, long precision) : point_(point), precision_(precision) {}

  Ball value(const Expr& expr) {
    Ball result;
    if (const auto rational = rational_value(expr)) {
      set_rational(result, *rational, precision_);
      return result;
    }
    switch (expr.kind) {
      case Kind::kConstant:
        constant(result, expr.text);
        return result;
      case Kind::kSum:
      case Kind::kMixed:
        acb_zero(result.get());
        for (const Expr& arg : expr.args) acb_add(result.get(), result.get(), value(arg).get(), precision_);
        return result;
      case Kind::kProduct:
        acb_one(result.get());
        for (const Expr& arg : expr.args) acb_mul(result.get(), result.get(), value(arg).get(), precision_);
        return result;
      case Kind::kNegative:
        acb_neg(result.get(), value(expr.args[0]).get());
        return result;
      case Kind::kQuotient:
        acb_div(result.get(), value(expr.args[0]).get(), value(expr.args[1]).get(), precision_);
        return result;
      case Kind::kPower:
        return power(expr);
      case Kind::kRoot:
        return root(value(expr.args[0]), expr.args[1]);
      case Kind::kFactorial:
        acb_add_ui(result.get(), value(expr.args[0]).get(), 1, precision_);
        acb_gamma(result.get(), result.get(), precision_);
        return result;
      case Kind::kDegrees:
        return degrees(expr);
      case Kind::kPercent:
      case Kind::kUnit:
        return value(expr.args[0]);
      case Kind::kFunction:
        return function(expr);
      default:
        return letter(expr);
    }
  }

 private:
  void constant(Ball& result, std::string_view name) {
    if (name == "pi") {
      acb_const_pi(result.get(), precision_);
    } else if (name == "e") {
      acb_one(result.get());
      acb_exp(result.get(), result.get(), precision_);
    } else if (name == "i") {
      acb_onei(result.get());
    } else {
      set_unknown(result);
    }
  }

  Ball letter(const Expr& expr) {
    const auto found = point_.letters.find(canonical(expr));
    if (found != point_.letters.end()) return found->second;
    Ball result;
    set_unknown(result);
    return result;
  }

  Ball degrees(const Expr& expr) {
    Ball result = value(expr.args[0]);
    if (!is_angle_) return result;
    Ball pi;
    acb_const_pi(pi.get(), precision_);
    acb_mul(result.get(), result.get(), pi.get(), precision_);
    acb_div_ui(result.get(), result.get(), 180, precision_);
    return result;
  }

  static bool is_negative_real(const Ball& ball) {
    return arb_is_zero(acb_imagref(ball.get())) && arb_is_negative(acb_realref(ball.get()));
  }

  // x^(above/below) for a negative x and an odd `below`, as a real number.
  Ball real_power(const Ball& base, const Expr& exponent, bool is_even) {
    Ball positive;
    acb_neg(positive.get(), base.get());
    acb_pow(positive.get(), positive.get(), value(exponent).get(), precision_);
    if (!is_even) acb_neg(positive.get(), positive.get());
    return positive;
  }

  Ball power(const Expr& expr) {
    const Ball base = value(expr.args[0]);
    const auto exponent = rational_value(expr.args[1]);
    if (exponent && exponent->get_den() != 1 && mpz_odd_p(exponent->get_den_mpz_t()) != 0 && is_negative_real(base)) {
      return real_power(base, expr.args[1], mpz_even_p(exponent->get_num_mpz_t()) != 0);
    }
    Ball result;
    if (exponent && exponent->get_den() == 1 && exponent->get_num().fits_slong_p()) {
      acb_pow_si(result.get(), base.get(), exponent->get_num().get_si(), precision_);
      return result;
    }
    const Ball power = value(expr.args[1]);
    const bool is_huge =
        !power.is_finite() || arf_cmpabs_2exp_si(arb_midref(acb_realref(power.get())), kMaxExponentBits) > 0;
    if (is_huge) {
      set_unknown(result);
      return result;
    }
    acb_pow(result.get(), base.get(), power.get(), precision_);
    return result;
  }

  Ball root(const Ball& base, const Expr& degree) {
    const auto size = rational_value(degree);
    Ball result;
    if (size && size->get_den() == 1 && *size >= 2 && *size <= 1000) {
      const unsigned long n = size->get_num().get_ui();
      if (n % 2 == 1 && is_negative_real(base)) {
        acb_neg(result.get(), base.get());
        acb_root_ui(result.get(), result.get(), n, precision_);
        acb_neg(result.get(), result.get());
      } else if (n == 2) {
        acb_sqrt(result.get(), base.get(), precision_);
      } else {
        acb_root_ui(result.get(), base.get(), n, precision_);
      }
      return result;
    }
    acb_inv(result.get(), value(degree).get(), precision_);
    acb_pow(result.get(), base.get(), result.get(), precision_);
    return result;
  }

  Ball logarithm(const Expr& expr) {
    Ball result;
    acb_log(result.get(), value(expr.args[0]).get(), precision_);
    const bool is_decimal = is_decimal_log(expr, point_.log_is_decimal);
    if (!is_decimal && expr.args.size() == 1) return result;
    Ball base;
    if (is_decimal) {
      acb_set_ui(base.get(), 10);
    } else {
      base = value(expr.args[1]);
    }
    acb_log(base.get(), base.get(), precision_);
    acb_div(result.get(), result.get(), base.get(), precision_);
    return result;
  }

  Ball binomial(const Expr& expr) {
    const Ball above = value(expr.args[0]);
    const Ball below = value(expr.args[1]);
    Ball result;
    Ball part;
    acb_add_ui(result.get(), above.get(), 1, precision_);
    acb_gamma(result.get(), result.get(), precision_);
    acb_add_ui(part.get(), below.get(), 1, precision_);
    acb_rgamma(part.get(), part.get(), precision_);
    acb_mul(result.get(), result.get(), part.get(), precision_);
    acb_sub(part.get(), above.get(), below.get(), precision_);
    acb_add_ui(part.get(), part.get(), 1, precision_);
    acb_rgamma(part.get(), part.get(), precision_);
    acb_mul(result.get(), result.get(), part.get(), precision_);
    return result;
  }

  Ball real_function(const Expr& expr) {
    Ball result = value(expr.args[0]);
    if (expr.text == "abs") {
      arb_t size;
      arb_init(size);
      acb_abs(size, result.get(), precision_);
      acb_set_arb(result.get(), size);
      arb_clear(size);
      return result;
    }
    bool are_real = acb_is_real(result.get()) != 0;
    arb_ptr real = acb_realref(result.get());
    if (expr.text == "floor") arb_floor(real, real, precision_);
    if (expr.text == "ceil") arb_ceil(real, real, precision_);
    for (size_t i = 1; i < expr.args.size(); ++i) {
      const Ball other = value(expr.args[i]);
      are_real = are_real && acb_is_real(other.get()) != 0;
      if (expr.text == "max") arb_max(real, real, acb_realref(other.get()), precision_);
      if (expr.text == "min") arb_min(real, real, acb_realref(other.get()), precision_);
    }
    if (!are_real) set_unknown(result);
    return result;
  }

  Ball function(const Expr& expr) {
    const std::string& name = expr.text;
    if (name == "log" || name == "ln" || name == "lg") return logarithm(expr);
    if (name == "binom") return binomial(expr);
    for (const std::string_view real : {"abs", "floor", "ceil", "max", "min"}) {
      if (name == real) return real_function(expr);
    }
    const bool outer = is_angle_;
    is_angle_ = is_trigonometric(name);
    Ball result = value(expr.args[0]);
    is_angle_ = outer;
    using Function = void (*)(acb_t, const acb_t, slong);
    static const std::map<std::string_view, Function> kFunctions = {
        {"sin", acb_sin},     {"cos", acb_cos},       {"tan", acb_tan},       {"cot", acb_cot},
        {"sec", acb_sec},     {"csc", acb_csc},       {"arcsin", acb_asin},   {"arccos", acb_acos},
        {"arctan", acb_atan}, {"sinh", acb_sinh},     {"cosh", acb_cosh},     {"tanh", acb_tanh},
        {"coth", acb_coth},   {"arcsinh", acb_asinh}, {"arccosh", acb_acosh}, {"arctanh", acb_atanh},
        {"exp", acb_exp},
    };
    const auto found = kFunctions.find(name);
    if (found == kFunctions.end()) return letter(expr);
    found->second(result.get(), result.get(), precision_);
    return result;
  }

  const Point& point_;
  long precision_;
  bool is_angle_ = false;
};

}  // namespace

bool is_trigonometric(std::string_view name) {
  for (const std::string_view one : {"sin", "cos", "tan", "cot", "sec", "csc"}) {
    if (name == one) return true;
  }
  return false;
}

bool is_decimal_log(const Expr& expr, bool log_is_decimal) {
  return expr.text == "lg" || (expr.text == "log" && expr.args.size() == 1 && log_is_decimal);
}

bool Ball::is_tiny(long exponent) const {
  for (const arb_srcptr part : {acb_realref(value_), acb_imagref(value_)}) {
    if (mag_cmp_2exp_si(arb_radref(part), exponent) >= 0) return false;
  }
  return is_finite();
}

Ball evaluate(const Expr& expr, const Point& point, long precision) { return Evaluator(point, precision).value(expr); }

}  // namespace noregret::math
