#include "noregret/grade/rational.h"

#include <algorithm>

namespace noregret::math {
namespace {

constexpr unsigned long kMaxFactorial = 500;
constexpr size_t kMaxBits = 4096;
using Value = std::optional<mpq_class>;

mpz_class power_of_ten(size_t exponent) {
  mpz_class value;
  mpz_ui_pow_ui(value.get_mpz_t(), 10, exponent);
  return value;
}

size_t bits_of(const mpq_class& value) {
  return std::max(mpz_sizeinbase(value.get_num_mpz_t(), 2), mpz_sizeinbase(value.get_den_mpz_t(), 2));
}

mpq_class literal(std::string_view text) {
  const size_t point = text.find('.');
  const std::string whole(text.substr(0, point));
  if (point == std::string_view::npos) return mpq_class(mpz_class(whole, 10));
  const std::string_view rest = text.substr(point + 1);
  const size_t open = rest.find('(');
  const std::string fixed(rest.substr(0, open));
  mpq_class value(mpz_class(whole + fixed, 10), power_of_ten(fixed.size()));
  if (open != std::string_view::npos) {
    const std::string repeating(rest.substr(open + 1, rest.size() - open - 2));
    const mpz_class nines = power_of_ten(repeating.size()) - 1;
    value += mpq_class(mpz_class(repeating, 10), nines * power_of_ten(fixed.size()));
  }
  value.canonicalize();
  return value;
}

Value power(const mpq_class& base, const mpq_class& exponent) {
  if (exponent.get_den() != 1 || !exponent.get_num().fits_slong_p()) return {};
  const long signed_size = exponent.get_num().get_si();
  const unsigned long size =
      signed_size < 0 ? 0UL - static_cast<unsigned long>(signed_size) : static_cast<unsigned long>(signed_size);
  if (base == 0 && signed_size <= 0) return {};  // 0^0 too
  if (base != 1 && base != -1 && base != 0 && (size > kMaxBits || bits_of(base) * size > kMaxBits)) return {};
  mpz_class above;
  mpz_class below;
  if (base == 1 || base == -1) return mpq_class(base == 1 || size % 2 == 0 ? 1 : -1);
  mpz_pow_ui(above.get_mpz_t(), base.get_num_mpz_t(), size);
  mpz_pow_ui(below.get_mpz_t(), base.get_den_mpz_t(), size);
  mpq_class value = signed_size < 0 ? mpq_class(below, above) : mpq_class(above, below);
  value.canonicalize();
  return value;
}

bool exact_root(const mpz_class& value, unsigned long degree, mpz_class& root) {
  return mpz_root(root.get_mpz_t(), value.get_mpz_t(), degree) != 0;
}

Value root(const mpq_class& value, const mpq_class& degree) {
  if (degree.get_den() != 1 || degree < 2 || degree > 64 || value < 0) return {};
  mpz_class above;
  mpz_class below;
  const unsigned long size = degree.get_num().get_ui();
  if (!exact_root(value.get_num(), size, above) || !exact_root(value.get_den(), size, below)) return {};
  return mpq_class(above, below);
}

Value factorial(const mpq_class& value) {
  if (value.get_den() != 1 || value < 0 || value > kMaxFactorial) return {};
  mpz_class product;
  mpz_fac_ui(product.get_mpz_t(), value.get_num().get_ui());
  return mpq_class(product);
}

mpq_class floor_of(const mpq_class& value) {
  mpz_class floor;
  mpz_fdiv_q(floor.get_mpz_t(), value.get_num_mpz_t(), value.get_den_mpz_t());
  return mpq_class(floor);
}

Value function(std::string_view name, const std::vector<mpq_class>& args) {
  const mpq_class& first = args[0];
  if (name == "abs") return mpq_class(abs(first));
  if (name == "floor") return floor_of(first);
  if (name == "ceil") return mpq_class(-floor_of(mpq_class(-first)));
  if (name == "max") return *std::max_element(args.begin(), args.end());
  if (name == "min") return *std::min_element(args.begin(), args.end());
  const bool are_whole = std::all_of(args.begin(), args.end(), [](const mpq_class& arg) { return arg.get_den() == 1; });
  if (!are_whole) return {};
  if (name == "binom" && first >= 0 && first <= kMaxFactorial && args[1] >= 0 && args[1] <= first) {
    mpz_class value;
    mpz_bin_ui(value.get_mpz_t(), first.get_num_mpz_t(), args[1].get_num().get_ui());
    return mpq_class(value);
  }
  if (name == "gcd" || name == "lcm") {
    mpz_class value = abs(first.get_num());
    for (const mpq_class& arg : args) {
      value = name == "gcd" ? mpz_class(gcd(value, arg.get_num())) : mpz_class(lcm(value, arg.get_num()));
    }
    return mpq_class(value);
  }
  return {};
}

Value combine(const Expr& expr, const std::vector<mpq_class>& args) {
  switch (expr.kind) {
    case Kind::kSum:
    case Kind::kMixed: {
      mpq_class sum = 0;
      for (const mpq_class& arg : args) sum += arg;
      return sum;
    }
    case Kind::kProduct: {
      mpq_class product = 1;
      for (const mpq_class& arg : args) product *= arg;
      return product;
    }
    case Kind::kNegative:
      return mpq_class(-args[0]);
    case Kind::kQuotient:
      if (args[1] == 0) return {};
      return mpq_class(args[0] / args[1]);
    case Kind::kPower:
      return power(args[0], args[1]);
    case Kind::kRoot:
      return root(args[0], args[1]);
    case Kind::kFactorial:
      return factorial(args[0]);
    case Kind::kFunction:
      return function(expr.text, args);
    default:
      return {};
  }
}

}  // namespace

std::optional<mpq_class> rational_value(const Expr& expr) {
  if (expr.is(Kind::kNumber)) return literal(expr.text);
  if (expr.args.empty() || is_structure(expr)) return {};
  std::vector<mpq_class> args;
  for (const Expr& arg : expr.args) {
    Value value = rational_value(arg);
    if (!value || bits_of(*value) > 2 * kMaxBits) return {};
    args.push_back(std::move(*value));
  }
  return combine(expr, args);
}

int decimals_of(const Expr& number) {
  const size_t point = number.text.find('.');
  return point == std::string::npos ? 0 : static_cast<int>(number.text.size() - point - 1);
}

int significant_digits_of(const Expr& number) {
  const size_t first = number.text.find_first_not_of("0.");
  if (first == std::string::npos) return 0;
  const bool has_point_after = number.text.find('.', first) != std::string::npos;
  return static_cast<int>(number.text.size() - first - (has_point_after ? 1 : 0));
}

}  // namespace noregret::math
