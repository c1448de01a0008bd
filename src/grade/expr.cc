#include "noregret/grade/expr.h"

#include <algorithm>

namespace noregret::math {
namespace {

bool is_unordered(Kind kind) {
  return kind == Kind::kSum || kind == Kind::kProduct || kind == Kind::kSet || kind == Kind::kUnion ||
         kind == Kind::kIntersection;
}

}  // namespace

// The length before a name keeps a name with brackets from looking like a tree.
std::string canonical(const Expr& expr) {
  std::vector<std::string> parts;
  for (const Expr& arg : expr.args) parts.push_back(canonical(arg));
  if (is_unordered(expr.kind)) std::sort(parts.begin(), parts.end());
  std::string text(1, static_cast<char>('A' + static_cast<int>(expr.kind)));
  text += std::to_string(expr.text.size()) + ":" + expr.text;
  if (parts.empty()) return text;
  for (const std::string& part : parts) text += (&part == &parts.front() ? "(" : ";") + part;
  return text + ")";
}

bool is_structure(const Expr& expr) {
  return expr.kind >= Kind::kTuple || expr.is(Kind::kText) || expr.is(Kind::kBase);
}

bool has_unknowns(const Expr& expr) {
  return any_of(expr, [](const Expr& part) {
    return part.is(Kind::kSymbol) || part.is(Kind::kCall) || part.is(Kind::kOperator) || part.is(Kind::kText);
  });
}

std::vector<std::string> operators_of(const Expr& expr) {
  std::vector<std::string> operators;
  for (size_t begin = 0; begin <= expr.text.size();) {
    const size_t end = std::min(expr.text.find(',', begin), expr.text.size());
    operators.push_back(expr.text.substr(begin, end - begin));
    begin = end + 1;
  }
  return operators;
}

int64_t count_operations(const Expr& expr) {
  int64_t count = 0;
  switch (expr.kind) {
    case Kind::kSum:
    case Kind::kProduct:
      count = static_cast<int64_t>(expr.args.size()) - 1;
      break;
    case Kind::kPower:
    case Kind::kRoot:
    case Kind::kFactorial:
    case Kind::kFunction:
    case Kind::kQuotient:
      count = 1;
      break;
    default:
      break;
  }
  for (const Expr& arg : expr.args) count += count_operations(arg);
  return count;
}

}  // namespace noregret::math
