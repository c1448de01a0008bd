#include "grade_worker/rational_function.h"

#include <map>
#include <string>
#include <vector>

#include "grade_worker/calcium_headers.h"
#include "grade_worker/flint_rational.h"
#include "noregret/grade/rational.h"

namespace noregret::math {
namespace {

constexpr size_t kMaxLetters = 8;
constexpr long kMaxDegree = 64;
constexpr long kMaxTerms = 2000;

struct TooLarge {};

bool is_integer_power(const Expr& expr, long& exponent) {
  if (!expr.is(Kind::kPower)) return false;
  const auto value = rational_value(expr.args[1]);
  if (!value || value->get_den() != 1 || !value->get_num().fits_slong_p()) return false;
  exponent = value->get_num().get_si();
  return true;
}

bool is_arithmetic(const Expr& expr) {
  long exponent = 0;
  return expr.is(Kind::kSum) || expr.is(Kind::kProduct) || expr.is(Kind::kNegative) || expr.is(Kind::kQuotient) ||
         is_integer_power(expr, exponent);
}

// The letters of both trees, by their canonical texts.
class Letters {
 public:
  void collect(const Expr& expr) {
    if (rational_value(expr)) return;
    if (is_arithmetic(expr)) {
      const size_t num_parts = expr.is(Kind::kPower) ? 1 : expr.args.size();
      for (size_t i = 0; i < num_parts; ++i) collect(expr.args[i]);
      return;
    }
    const auto [entry, is_new] = index_.try_emplace(canonical(expr), index_.size());
    if (!is_new) return;
    if (index_.size() > kMaxLetters) throw TooLarge{};
    const bool is_free = expr.is(Kind::kSymbol) || expr.is(Kind::kCall);
    is_constant_.push_back(!has_unknowns(expr));
    is_independent_.push_back(is_free || expr.is(Kind::kConstant, "pi"));
  }
  long index_of(const Expr& expr) const { return static_cast<long>(index_.at(canonical(expr))); }
  long size() const { return static_cast<long>(index_.size()); }
  bool is_constant(size_t i) const { return is_constant_[i]; }
  bool are_independent() const {
    for (const bool one : is_independent_) {
      if (!one) return false;
    }
    return true;
  }

 private:
  std::map<std::string, size_t> index_;
  std::vector<bool> is_constant_;
  std::vector<bool> is_independent_;
};

class Ring {
 public:
  explicit Ring(const Letters& letters) : letters(letters) {
    fmpz_mpoly_ctx_init(context, std::max(letters.size(), 1L), ORD_LEX);
  }
  ~Ring() { fmpz_mpoly_ctx_clear(context); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  const Letters& letters;
  fmpz_mpoly_ctx_t context;
};

class Function {
 public:
  explicit Function(const Ring& ring) : ring_(ring) { fmpz_mpoly_q_init(value_, ring.context); }
  ~Function() { fmpz_mpoly_q_clear(value_, ring_.context); }
  Function(const Function& other) : Function(other.ring_) { fmpz_mpoly_q_set(value_, other.value_, ring_.context); }
  Function& operator=(const Function&) = delete;
  fmpz_mpoly_q_struct* get() { return value_; }
  bool is_zero() const { return fmpz_mpoly_q_is_zero(value_, ring_.context) != 0; }
  long size() const {
    return std::max(fmpz_mpoly_length(fmpz_mpoly_q_numref(value_), ring_.context),
                    fmpz_mpoly_length(fmpz_mpoly_q_denref(value_), ring_.context));
  }
  long degree() const {
    long degree = 0;
    for (const fmpz_mpoly_struct* part : {fmpz_mpoly_q_numref(value_), fmpz_mpoly_q_denref(value_)}) {
      if (!fmpz_mpoly_is_zero(part, ring_.context)) {
        degree = std::max(degree, fmpz_mpoly_total_degree_si(part, ring_.context));
      }
    }
    return degree;
  }
  // Products of two such stay within what a deadline allows.
  void check() const {
    if (size() > kMaxTerms || degree() > kMaxDegree) throw TooLarge{};
  }

 private:
  const Ring& ring_;
  fmpz_mpoly_q_t value_;
};

class Lowering {
 public:
  explicit Lowering(const Ring& ring) : ring_(ring), context_(ring.context) {}

  Function value(const Expr& expr) {
    Function result(ring_);
    long exponent = 0;
    if (const auto rational = rational_value(expr)) {
      set(result, *rational);
    } else if (is_integer_power(expr, exponent)) {
      power(result, value(expr.args[0]), exponent);
    } else if (expr.is(Kind::kNegative)) {
      fmpz_mpoly_q_neg(result.get(), value(expr.args[0]).get(), context_);
    } else if (expr.is(Kind::kQuotient)) {
      divide(result, value(expr.args[0]), value(expr.args[1]));
    } else if (expr.is(Kind::kSum) || expr.is(Kind::kProduct)) {
      const bool is_sum = expr.is(Kind::kSum);
      fmpz_mpoly_q_set_si(result.get(), is_sum ? 0 : 1, context_);
      for (const Expr& arg : expr.args) {
        Function part = value(arg);
        if (is_sum) {
          fmpz_mpoly_q_add(result.get(), result.get(), part.get(), context_);
        } else {
          if (result.degree() + part.degree() > kMaxDegree || result.size() * part.size() > kMaxTerms * 50) {
            throw TooLarge{};
          }
          fmpz_mpoly_q_mul(result.get(), result.get(), part.get(), context_);
        }
        result.check();
      }
    } else {
      fmpz_mpoly_q_gen(result.get(), ring_.letters.index_of(expr), context_);
    }
    return result;
  }

  void divide(Function& result, Function above, Function below) {
    if (below.is_zero()) throw TooLarge{};  // it has no value
    fmpz_mpoly_q_div(result.get(), above.get(), below.get(), context_);
    result.check();
  }

 private:
  void set(Function& result, const mpq_class& value) {
    fmpz_mpoly_q_set_fmpq(result.get(), FlintRational(value).get(), context_);
  }

  void power(Function& result, Function base, long exponent) {
    const long size = exponent < 0 ? -exponent : exponent;
    if (size > kMaxDegree || base.degree() * size > kMaxDegree) throw TooLarge{};
    if (exponent < 0) {
      if (base.is_zero()) throw TooLarge{};
      fmpz_mpoly_q_inv(base.get(), base.get(), context_);
    }
    fmpz_mpoly_q_set_si(result.get(), 1, context_);
    for (long i = 0; i < size; ++i) {
      fmpz_mpoly_q_mul(result.get(), result.get(), base.get(), context_);
      result.check();
    }
  }

  const Ring& ring_;
  const fmpz_mpoly_ctx_struct* context_;
};

}  // namespace

Truth equal_functions(const Expr& a, const Expr& b) {
  try {
    Letters letters;
    letters.collect(a);
    letters.collect(b);
    const Ring ring(letters);
    Lowering lowering(ring);
    Function difference(ring);
    fmpz_mpoly_q_sub(difference.get(), lowering.value(a).get(), lowering.value(b).get(), ring.context);
    if (difference.is_zero()) return Truth::kTrue;
    return letters.are_independent() ? Truth::kFalse : Truth::kUnknown;
  } catch (const TooLarge&) {
    return Truth::kUnknown;
  }
}

Proportion proportion(const Expr& a, const Expr& b) {
  try {
    Letters letters;
    letters.collect(a);
    letters.collect(b);
    const Ring ring(letters);
    Lowering lowering(ring);
    Function above = lowering.value(a);
    Function below = lowering.value(b);
    if (above.is_zero() || below.is_zero()) return {};
    Function ratio(ring);
    lowering.divide(ratio, above, below);
    std::vector<int> is_used(static_cast<size_t>(std::max(letters.size(), 1L)), 0);
    fmpz_mpoly_q_used_vars(is_used.data(), ratio.get(), ring.context);
    for (size_t i = 0; i < static_cast<size_t>(letters.size()); ++i) {
      if (is_used[i] != 0 && !letters.is_constant(i)) {
        return {letters.are_independent() ? Truth::kFalse : Truth::kUnknown, 0};
      }
    }
    if (!fmpz_mpoly_q_is_fmpq(ratio.get(), ring.context)) return {Truth::kTrue, 0};
    const fmpz* coefficient = fmpz_mpoly_q_numref(ratio.get())->coeffs;
    return {Truth::kTrue, fmpz_sgn(coefficient)};
  } catch (const TooLarge&) {
    return {};
  }
}

}  // namespace noregret::math
