#include "grade/normal.h"

#include <algorithm>

namespace noregret::math {
namespace {

bool is_segment(const Expr& expr) {
  if (expr.is(Kind::kSymbol)) return expr.text[0] >= 'A' && expr.text[0] <= 'Z';
  return expr.is(Kind::kProduct) && std::all_of(expr.args.begin(), expr.args.end(), is_segment);
}

// The tree with each plus-minus read with its upper, or its lower sign.
Expr with_sign(const Expr& expr, bool is_upper) {
  Expr copy = make(expr.kind, expr.text);
  for (const Expr& arg : expr.args) copy.args.push_back(with_sign(arg, is_upper));
  if (!expr.is(Kind::kPlusMinus)) return copy;
  const bool is_plus = (expr.text == "+-") == is_upper;
  Expr last = std::move(copy.args.back());
  copy.args.pop_back();
  if (!is_plus) last = make(Kind::kNegative, "", {std::move(last)});
  if (copy.args.empty()) return last;
  copy.args.push_back(std::move(last));
  return make(Kind::kSum, "", std::move(copy.args));
}

Expr scaled(const Expr& factor, const Expr& matrix) {
  Expr product = make(Kind::kMatrix, matrix.text);
  for (const Expr& cell : matrix.args) product.args.push_back(make(Kind::kProduct, "", {factor, cell}));
  return product;
}

std::optional<Expr> folded_product(const Expr& expr) {
  Expr factor = make(Kind::kNumber, "1");
  const Expr* matrix = nullptr;
  for (const Expr& arg : expr.args) {
    if (arg.is(Kind::kMatrix)) {
      if (matrix != nullptr) return {};
      matrix = &arg;
    } else {
      factor = make(Kind::kProduct, "", {std::move(factor), arg});
    }
  }
  return scaled(factor, *matrix);
}

std::optional<Expr> folded_sum(const Expr& expr) {
  Expr sum = expr.args[0];
  for (size_t i = 1; i < expr.args.size(); ++i) {
    const Expr& arg = expr.args[i];
    if (!arg.is(Kind::kMatrix) || arg.text != sum.text) return {};
    for (size_t j = 0; j < arg.args.size(); ++j) {
      sum.args[j] = make(Kind::kSum, "", {std::move(sum.args[j]), arg.args[j]});
    }
  }
  return sum;
}

bool is_variable(const Expr& expr) { return expr.is(Kind::kSymbol) || expr.is(Kind::kCall); }

std::optional<NamedSet> interval(const Expr& low, std::string_view low_sign, const Expr& variable,
                                 std::string_view sign, const Expr& high) {
  if (!is_variable(variable) || has_unknowns(low) || has_unknowns(high)) return {};
  const std::string brackets = {low_sign == "<=" ? '[' : '(', sign == "<=" ? ']' : ')'};
  return NamedSet{canonical(variable), make(Kind::kTuple, brackets, {low, high})};
}

std::optional<NamedSet> half_line_or_interval(const Expr& relation) {
  std::vector<Expr> sides = relation.args;
  std::vector<std::string> signs = operators_of(relation);
  const bool is_descending = signs[0] == ">" || signs[0] == ">=";
  if (is_descending) {
    std::reverse(sides.begin(), sides.end());
    std::reverse(signs.begin(), signs.end());
    for (std::string& sign : signs) sign = sign == ">" ? "<" : sign == ">=" ? "<=" : "?";
  }
  for (const std::string& sign : signs) {
    if (sign != "<" && sign != "<=") return {};
  }
  const Expr infinity = make(Kind::kConstant, "infinity");
  if (sides.size() == 3) return interval(sides[0], signs[0], sides[1], signs[1], sides[2]);
  if (sides.size() != 2) return {};
  if (is_variable(sides[0])) {
    return interval(make(Kind::kNegative, "", {infinity}), "<", sides[0], signs[0], sides[1]);
  }
  return interval(sides[0], signs[0], sides[1], "<", infinity);
}

}  // namespace

std::vector<Expr> expand_plus_minus(const Expr& expr) {
  if (!any_of(expr, [](const Expr& part) { return part.is(Kind::kPlusMinus); })) return {expr};
  return {with_sign(expr, true), with_sign(expr, false)};
}

std::vector<Expr> items_of(const Expr& expr) {
  if (!expr.is(Kind::kList) && !expr.is(Kind::kSet)) return expand_plus_minus(expr);
  std::vector<Expr> items;
  for (const Expr& arg : expr.args) {
    for (Expr& item : expand_plus_minus(arg)) items.push_back(std::move(item));
  }
  return items;
}

std::optional<Expr> fold_matrices(const Expr& expr) {
  if (!any_of(expr, [](const Expr& part) { return part.is(Kind::kMatrix); })) return expr;
  Expr copy = make(expr.kind, expr.text);
  for (const Expr& arg : expr.args) {
    std::optional<Expr> folded = fold_matrices(arg);
    if (!folded) return {};
    copy.args.push_back(std::move(*folded));
  }
  const bool has_matrix =
      std::any_of(copy.args.begin(), copy.args.end(), [](const Expr& arg) { return arg.is(Kind::kMatrix); });
  if (!has_matrix || is_structure(copy)) return copy;
  if (copy.is(Kind::kNegative)) return scaled(make(Kind::kNegative, "", {make(Kind::kNumber, "1")}), copy.args[0]);
  if (copy.is(Kind::kProduct)) return folded_product(copy);
  if (copy.is(Kind::kSum)) return folded_sum(copy);
  return {};
}

bool is_name(const Expr& expr) {
  switch (expr.kind) {
    case Kind::kSymbol:
    case Kind::kCall:
    case Kind::kText:
      return true;
    case Kind::kProduct:
      return is_segment(expr);
    case Kind::kQuotient:
    case Kind::kRatio:
      return std::all_of(expr.args.begin(), expr.args.end(), is_segment);
    case Kind::kTuple:
      return std::all_of(expr.args.begin(), expr.args.end(), [](const Expr& arg) { return arg.is(Kind::kSymbol); });
    default:
      return false;
  }
}

std::optional<NamedSet> solution_set(const Expr& expr) {
  if (expr.is(Kind::kRelation)) return half_line_or_interval(expr);
  if (!expr.is(Kind::kList, "or")) return {};
  std::optional<NamedSet> all;
  for (const Expr& arg : expr.args) {
    std::optional<NamedSet> one = arg.is(Kind::kRelation) ? half_line_or_interval(arg) : std::nullopt;
    if (!one || (all && all->name != one->name)) return {};
    if (!all) all = NamedSet{one->name, make(Kind::kUnion, "")};
    all->set.args.push_back(std::move(one->set));
  }
  return all;
}

bool is_equation(const Expr& expr) {
  if (!expr.is(Kind::kRelation)) return false;
  return expr.text.find_first_not_of("=,") == std::string::npos;
}

bool is_inequality(const Expr& expr) {
  return expr.is(Kind::kRelation) && expr.args.size() == 2 &&
         (expr.text == "<" || expr.text == "<=" || expr.text == ">" || expr.text == ">=" || expr.text == "!=");
}

Expr difference(const Expr& a, const Expr& b) { return make(Kind::kSum, "", {a, make(Kind::kNegative, "", {b})}); }

}  // namespace noregret::math
