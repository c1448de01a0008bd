#include "grade/comparison.h"

#include <algorithm>
#include <functional>

#include "grade/normal.h"

namespace noregret::math {
namespace {

constexpr size_t kMaxItems = 64;
constexpr Outcome kDifferent{Judgement::kNotEqual, 0};

// Is there a matching of all rows with the edges that `is_edge` allows? (augmenting paths)
bool has_matching(size_t size, const std::function<bool(size_t, size_t)>& is_edge) {
  std::vector<int> row_of(size, -1);
  for (size_t row = 0; row < size; ++row) {
    std::vector<bool> is_seen(size, false);
    const std::function<bool(size_t)> augment = [&](size_t from) {
      for (size_t column = 0; column < size; ++column) {
        if (is_seen[column] || !is_edge(from, column)) continue;
        is_seen[column] = true;
        if (row_of[column] < 0 || augment(static_cast<size_t>(row_of[column]))) {
          row_of[column] = static_cast<int>(from);
          return true;
        }
      }
      return false;
    };
    if (!augment(row)) return false;
  }
  return true;
}

bool has_operator(const Expr& expr) {
  return any_of(expr, [](const Expr& part) { return part.is(Kind::kOperator); });
}

bool is_one_letter(const Expr& expr) {
  return (expr.is(Kind::kSymbol) || expr.is(Kind::kConstant)) && expr.text.size() == 1;
}

// The name of an assignment among items, or "".
std::string name_of(const Expr& item) {
  const bool is_assignment = is_equation(item) && item.args.size() == 2 && is_name(item.args[0]);
  return is_assignment ? canonical(item.args[0]) : "";
}

Expr value_of(const Expr& item) { return name_of(item).empty() ? item : item.args[1]; }

bool are_ordered(const std::vector<Expr>& gold, const std::vector<Expr>& prediction) {
  std::vector<std::string> names;
  for (const Expr& item : gold) {
    if (const std::string name = name_of(item); !name.empty()) names.push_back(name);
  }
  if (names.empty()) return false;
  const bool has_other =
      std::any_of(prediction.begin(), prediction.end(), [](const Expr& item) { return !name_of(item).empty(); });
  std::sort(names.begin(), names.end());
  return !has_other && names.front() != names.back();
}

}  // namespace

Outcome both(const Outcome& a, const Outcome& b) {
  const int tier = std::max(a.tier, b.tier);
  for (const Judgement one : {Judgement::kNotEqual, Judgement::kOverCap, Judgement::kUndecided, Judgement::kUnknown}) {
    if (a.judgement == one || b.judgement == one) return {one, tier};
  }
  return {Judgement::kEqual, tier};
}

Outcome Comparison::answers(const Expr& gold, const Expr& prediction) const {
  if (canonical(gold) == canonical(prediction)) return {Judgement::kEqual, 0};
  if (has_operator(prediction) && !has_operator(gold)) return {Judgement::kUnknown, 0};
  const bool is_set_of_values = solution_set(gold) || solution_set(prediction);
  if (is_set_of_values) return inequalities(gold, prediction);
  if (is_list(gold) || is_list(prediction)) return lists(gold, prediction);
  return values(gold, prediction);
}

Outcome Comparison::lists(const Expr& gold, const Expr& prediction) const {
  if (is_equation(gold) && gold.args.size() == 2 && is_name(gold.args[0]) && is_list(gold.args[1]) &&
      is_list(prediction) && !is_equation(prediction)) {
    return lists(gold.args[1], prediction);
  }
  const bool is_predicted_name = is_equation(prediction) && prediction.args.size() == 2 && is_name(prediction.args[0]);
  if (is_predicted_name && is_list(prediction.args[1]) && is_list(gold) && !is_equation(gold)) {
    return lists(gold, prediction.args[1]);
  }
  if (is_equation(gold) && is_equation(prediction) && gold.args.size() == 2 && prediction.args.size() == 2 &&
      canonical(gold.args[0]) == canonical(prediction.args[0])) {
    return answers(gold.args[1], prediction.args[1]);
  }
  if (prediction.is(Kind::kRelation) && operators_of(prediction)[0] == "in") return answers(gold, prediction.args[1]);
  if (gold.is(Kind::kRelation) && operators_of(gold)[0] == "in") return answers(gold.args[1], prediction);
  if (!is_list(gold) || !is_list(prediction)) return kDifferent;
  const std::vector<Expr> right = items_of(gold);
  const std::vector<Expr> items = items_of(prediction);
  if (right.size() != items.size()) return kDifferent;
  if (right.size() > kMaxItems) return {Judgement::kOverCap, 0};
  if (right.empty()) return {Judgement::kEqual, 0};
  if (!are_ordered(right, items)) return matched(right, items);
  std::vector<Expr> bare;
  for (const Expr& item : right) bare.push_back(value_of(item));
  return all(bare, items);
}

Outcome Comparison::all(const std::vector<Expr>& gold, const std::vector<Expr>& prediction) const {
  if (gold.size() != prediction.size()) return kDifferent;
  Outcome outcome{Judgement::kEqual, 0};
  for (size_t i = 0; i < gold.size(); ++i) {
    outcome = both(outcome, answers(gold[i], prediction[i]));
    if (outcome.judgement == Judgement::kNotEqual) break;
  }
  return outcome;
}

Outcome Comparison::matched(const std::vector<Expr>& gold, const std::vector<Expr>& prediction) const {
  const size_t size = gold.size();
  if (size != prediction.size()) return kDifferent;
  std::vector<Outcome> pairs(size * size);
  int tier = 0;
  for (size_t i = 0; i < size * size; ++i) {
    pairs[i] = answers(gold[i / size], prediction[i % size]);
    tier = std::max(tier, pairs[i].tier);
  }
  const auto matches = [&](std::initializer_list<Judgement> allowed) {
    return has_matching(size, [&](size_t row, size_t column) {
      return std::find(allowed.begin(), allowed.end(), pairs[row * size + column].judgement) != allowed.end();
    });
  };
  if (matches({Judgement::kEqual})) return {Judgement::kEqual, tier};
  if (!matches({Judgement::kEqual, Judgement::kUndecided, Judgement::kUnknown, Judgement::kOverCap})) {
    return {Judgement::kNotEqual, tier};
  }
  const bool is_open = std::any_of(pairs.begin(), pairs.end(),
                                   [](const Outcome& pair) { return pair.judgement == Judgement::kUndecided; });
  return {is_open ? Judgement::kUndecided : Judgement::kUnknown, tier};
}

Outcome Comparison::words(const Expr& gold, const Expr& prediction) const {
  const Expr& text = gold.is(Kind::kText) ? gold : prediction;
  const Expr& other = gold.is(Kind::kText) ? prediction : gold;
  const bool is_same = (other.is(Kind::kText) || is_one_letter(other)) && other.text == text.text;
  return {is_same ? Judgement::kEqual : Judgement::kNotEqual, 0};
}

Outcome Comparison::based(const Expr& gold, const Expr& prediction) const {
  const auto parts = [](const Expr& expr) {
    std::string text = expr.text;
    for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    const size_t mark = text.rfind('_');
    const size_t first = std::min(text.find_first_not_of('0'), mark == std::string::npos ? text.size() : mark);
    return text.substr(first);
  };
  if (gold.is(Kind::kBase) && prediction.is(Kind::kBase)) {
    return {parts(gold) == parts(prediction) ? Judgement::kEqual : Judgement::kNotEqual, 0};
  }
  const bool is_bare = options_.bare_base && gold.is(Kind::kBase) && prediction.is(Kind::kNumber) &&
                       parts(gold).starts_with(prediction.text + "_");
  return {is_bare ? Judgement::kEqual : Judgement::kNotEqual, 0};
}

Outcome Comparison::values(const Expr& gold, const Expr& prediction) const {
  if (gold.is(Kind::kRelation) || prediction.is(Kind::kRelation)) return equations(gold, prediction);
  if (gold.is(Kind::kText) || prediction.is(Kind::kText)) return words(gold, prediction);
  if (gold.is(Kind::kBase) || prediction.is(Kind::kBase)) return based(gold, prediction);
  if (is_structure(gold) || is_structure(prediction)) {
    if (gold.kind != prediction.kind) return kDifferent;
    switch (gold.kind) {
      case Kind::kTuple:
      case Kind::kMatrix:
        return gold.text == prediction.text ? all(gold.args, prediction.args) : kDifferent;
      case Kind::kUnion:
      case Kind::kIntersection:
        if (gold.args.size() > kMaxItems) return {Judgement::kOverCap, 0};
        return matched(gold.args, prediction.args);
      default:
        return all(gold.args, prediction.args);
    }
  }
  return leaves(gold, prediction);
}

}  // namespace noregret::math
