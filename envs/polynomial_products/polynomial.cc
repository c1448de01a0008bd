#include "envs/polynomial_products/polynomial.h"

#include <cstdlib>
#include <map>

#include "noregret/base/text.h"
#include "noregret/grade/parse.h"

namespace noregret {
namespace {

using math::Expr;
using math::Kind;

struct Term {
  int64_t coefficient = 1;
  int64_t power = 0;
};

std::optional<int64_t> whole_number(const Expr& expr) {
  constexpr size_t kMaxDigits = 15;
  const bool is_whole = expr.is(Kind::kNumber) && expr.text.find('.') == std::string::npos;
  if (!is_whole || expr.text.size() > kMaxDigits) return std::nullopt;
  return std::stoll(expr.text);
}

// x or x^n
std::optional<int64_t> power_of_x(const Expr& expr) {
  constexpr int64_t kMaxPower = 100;
  if (expr.is(Kind::kSymbol, "x")) return 1;
  if (!expr.is(Kind::kPower) || !expr.args[0].is(Kind::kSymbol, "x")) return std::nullopt;
  const std::optional<int64_t> power = whole_number(expr.args[1]);
  if (!power || *power > kMaxPower) return std::nullopt;
  return power;
}

// A number, a power of x, or a number times a power of x.
std::optional<Term> read_term(const Expr& expr) {
  if (const auto number = whole_number(expr)) return Term{*number, 0};
  if (const auto power = power_of_x(expr)) return Term{1, *power};
  if (!expr.is(Kind::kProduct) || expr.args.size() != 2) return std::nullopt;
  const auto number = whole_number(expr.args[0]);
  const auto power = power_of_x(expr.args[1]);
  if (!number || !power) return std::nullopt;
  return Term{*number, *power};
}

bool read_terms(const Expr& expr, std::map<int64_t, int64_t>& by_power) {
  const std::vector<Expr> alone = {expr};
  for (const Expr& part : expr.is(Kind::kSum) ? expr.args : alone) {
    const bool is_negative = part.is(Kind::kNegative);
    const std::optional<Term> term = read_term(is_negative ? part.args[0] : part);
    if (!term) return false;
    if (!by_power.emplace(term->power, is_negative ? -term->coefficient : term->coefficient).second) return false;
  }
  return true;
}

}  // namespace

Polynomial product(const Polynomial& a, const Polynomial& b) {
  Polynomial result(a.size() + b.size() - 1, 0);
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) result[i + j] += a[i] * b[j];
  }
  return result;
}

std::string latex_of(const Polynomial& polynomial) {
  std::string text;
  for (size_t power = polynomial.size(); power-- > 0;) {
    const int64_t coefficient = polynomial[power];
    if (coefficient == 0) continue;
    text += coefficient < 0 ? "-" : text.empty() ? "" : "+";
    if (std::abs(coefficient) != 1 || power == 0) text += cat(std::abs(coefficient));
    if (power > 0) text += "x";
    if (power > 1) text += power > 9 ? cat("^{", power, "}") : cat("^", power);
  }
  return text.empty() ? "0" : text;
}

std::optional<Polynomial> read_polynomial(const std::string& answer) {
  const math::Parsed parsed = math::parse_answer(answer);
  std::map<int64_t, int64_t> by_power;
  if (!parsed.is_ok() || !read_terms(parsed.expr, by_power)) return std::nullopt;
  Polynomial polynomial;
  for (const auto& [power, coefficient] : by_power) {
    if (coefficient == 0) continue;
    polynomial.resize(static_cast<size_t>(power) + 1, 0);
    polynomial.back() = coefficient;
  }
  return polynomial;
}

}  // namespace noregret
