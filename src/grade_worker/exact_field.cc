#include "grade_worker/exact_field.h"

#include "grade_worker/ball.h"
#include "grade_worker/calcium_headers.h"
#include "grade_worker/flint_rational.h"
#include "noregret/grade/rational.h"

namespace noregret::math {
namespace {

struct NoClosedForm {};

class Context {
 public:
  Context() {
    ca_ctx_init(context_);
    ca_ctx_set_option(context_, CA_OPT_QQBAR_DEG_LIMIT, 60);
    ca_ctx_set_option(context_, CA_OPT_PREC_LIMIT, 1024);
    ca_ctx_set_option(context_, CA_OPT_POW_LIMIT, 40);
  }
  ~Context() { ca_ctx_clear(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ca_ctx_struct* get() { return context_; }

 private:
  ca_ctx_t context_;
};

class Number {
 public:
  explicit Number(Context& context) : context_(context) { ca_init(value_, context.get()); }
  ~Number() { ca_clear(value_, context_.get()); }
  Number(const Number& other) : Number(other.context_) { ca_set(value_, other.value_, context_.get()); }
  Number& operator=(const Number& other) {
    ca_set(value_, other.value_, context_.get());
    return *this;
  }
  ca_ptr get() { return value_; }
  ca_srcptr get() const { return value_; }

 private:
  Context& context_;
  ca_t value_;
};

class Lowering {
 public:
  Lowering(Context& context, bool log_is_decimal)
      : context_(context), ctx_(context.get()), log_is_decimal_(log_is_decimal) {}

  Number value(const Expr& expr) {
    Number result(context_);
    if (const auto rational = rational_value(expr)) {
      set(result, *rational);
      return result;
    }
    switch (expr.kind) {
      case Kind::kConstant:
        constant(result, expr.text);
        return result;
      case Kind::kSum:
      case Kind::kMixed:
        ca_zero(result.get(), ctx_);
        for (const Expr& arg : expr.args) ca_add(result.get(), result.get(), value(arg).get(), ctx_);
        return result;
      case Kind::kProduct:
        ca_one(result.get(), ctx_);
        for (const Expr& arg : expr.args) ca_mul(result.get(), result.get(), value(arg).get(), ctx_);
        return result;
      case Kind::kNegative:
        ca_neg(result.get(), value(expr.args[0]).get(), ctx_);
        return result;
      case Kind::kQuotient:
        ca_div(result.get(), value(expr.args[0]).get(), value(expr.args[1]).get(), ctx_);
        return result;
      case Kind::kPower:
        return power(value(expr.args[0]), expr.args[1]);
      case Kind::kRoot:
        return power(value(expr.args[0]), make(Kind::kQuotient, "", {make(Kind::kNumber, "1"), expr.args[1]}));
      case Kind::kDegrees:
        return degrees(expr);
      case Kind::kPercent:
      case Kind::kUnit:
        return value(expr.args[0]);
      case Kind::kFunction:
        return function(expr);
      default:
        throw NoClosedForm{};
    }
  }

 private:
  void set(Number& result, const mpq_class& value) { ca_set_fmpq(result.get(), FlintRational(value).get(), ctx_); }

  void constant(Number& result, std::string_view name) {
    if (name == "pi") {
      ca_pi(result.get(), ctx_);
    } else if (name == "e") {
      ca_one(result.get(), ctx_);
      ca_exp(result.get(), result.get(), ctx_);
    } else if (name == "i") {
      ca_i(result.get(), ctx_);
    } else {
      throw NoClosedForm{};
    }
  }

  // As in ball.h, an odd root of a negative number is real.
  Number power(Number base, const Expr& exponent) {
    const auto rational = rational_value(exponent);
    const bool is_odd_root = rational && rational->get_den() != 1 && mpz_odd_p(rational->get_den_mpz_t()) != 0;
    bool is_negated = false;
    if (is_odd_root) {
      const truth_t is_negative = ca_check_is_negative_real(base.get(), ctx_);
      if (is_negative == T_UNKNOWN) throw NoClosedForm{};
      if (is_negative == T_TRUE) {
        ca_neg(base.get(), base.get(), ctx_);
        is_negated = mpz_odd_p(rational->get_num_mpz_t()) != 0;
      }
    }
    Number result(context_);
    if (rational && *rational == mpq_class(1, 2)) {
      ca_sqrt(result.get(), base.get(), ctx_);
    } else {
      ca_pow(result.get(), base.get(), value(exponent).get(), ctx_);
    }
    if (is_negated) ca_neg(result.get(), result.get(), ctx_);
    return result;
  }

  Number degrees(const Expr& expr) {
    Number result = value(expr.args[0]);
    if (!is_angle_) return result;
    Number pi(context_);
    ca_pi(pi.get(), ctx_);
    ca_mul(result.get(), result.get(), pi.get(), ctx_);
    ca_div_ui(result.get(), result.get(), 180, ctx_);
    return result;
  }

  Number logarithm(const Expr& expr) {
    Number result(context_);
    ca_log(result.get(), value(expr.args[0]).get(), ctx_);
    const bool is_decimal = is_decimal_log(expr, log_is_decimal_);
    if (!is_decimal && expr.args.size() == 1) return result;
    Number base(context_);
    if (is_decimal) {
      ca_set_ui(base.get(), 10, ctx_);
    } else {
      base = value(expr.args[1]);
    }
    ca_log(base.get(), base.get(), ctx_);
    ca_div(result.get(), result.get(), base.get(), ctx_);
    return result;
  }

  Number function(const Expr& expr) {
    const std::string& name = expr.text;
    if (name == "log" || name == "ln" || name == "lg") return logarithm(expr);
    const bool outer = is_angle_;
    is_angle_ = is_trigonometric(name);
    Number result = value(expr.args[0]);
    is_angle_ = outer;
    if (name == "sin" || name == "csc") {
      ca_sin(result.get(), result.get(), ctx_);
    } else if (name == "cos" || name == "sec") {
      ca_cos(result.get(), result.get(), ctx_);
    } else if (name == "tan") {
      ca_tan(result.get(), result.get(), ctx_);
    } else if (name == "cot") {
      ca_cot(result.get(), result.get(), ctx_);
    } else if (name == "arcsin") {
      ca_asin(result.get(), result.get(), ctx_);
    } else if (name == "arccos") {
      ca_acos(result.get(), result.get(), ctx_);
    } else if (name == "arctan") {
      ca_atan(result.get(), result.get(), ctx_);
    } else if (name == "exp") {
      ca_exp(result.get(), result.get(), ctx_);
    } else if (name == "abs") {
      ca_abs(result.get(), result.get(), ctx_);
    } else {
      throw NoClosedForm{};
    }
    if (name == "csc" || name == "sec") ca_inv(result.get(), result.get(), ctx_);
    return result;
  }

  Context& context_;
  ca_ctx_struct* ctx_;
  bool log_is_decimal_;
  bool is_angle_ = false;
};

}  // namespace

Truth equal_constants(const Expr& a, const Expr& b, bool log_is_decimal) {
  try {
    Context context;  // a fresh one: it only grows, and a verdict must not depend on what was asked before
    Lowering lowering(context, log_is_decimal);
    const Number left = lowering.value(a);
    const Number right = lowering.value(b);
    for (const Number* one : {&left, &right}) {
      if (ca_check_is_number(one->get(), context.get()) != T_TRUE) return Truth::kUnknown;
    }
    const truth_t truth = ca_check_equal(left.get(), right.get(), context.get());
    return truth == T_TRUE ? Truth::kTrue : truth == T_FALSE ? Truth::kFalse : Truth::kUnknown;
  } catch (const NoClosedForm&) {
    return Truth::kUnknown;
  }
}

}  // namespace noregret::math
