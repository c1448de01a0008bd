#include "grade/comparison.h"
#include "grade/normal.h"

namespace noregret::math {
namespace {

constexpr Outcome kDifferent{Judgement::kNotEqual, 0};

bool is_assignment(const Expr& expr) { return is_equation(expr) && expr.args.size() == 2 && is_name(expr.args[0]); }

// f(x) and f(t) name the same function.
bool is_same_name(const Expr& a, const Expr& b) {
  if (canonical(a) == canonical(b)) return true;
  const auto takes_a_letter = [](const Expr& call) {
    return call.is(Kind::kCall) && call.args.size() == 1 && call.args[0].is(Kind::kSymbol);
  };
  return takes_a_letter(a) && takes_a_letter(b) && a.text == b.text;
}

}  // namespace

Outcome Comparison::proportional(const Expr& a, const Expr& b, bool positive) const {
  if (canonical(a) == canonical(b)) return {Judgement::kEqual, 0};
  if (is_structure(a) || is_structure(b)) return {Judgement::kUnknown, 0};
  for (const Expr* side : {&a, &b}) {
    const bool has_structure = any_of(*side, [](const Expr& part) { return is_structure(part); });
    if (has_structure) return {Judgement::kUnknown, 0};
  }
  if (judge_ == nullptr) return {Judgement::kUndecided, 3};
  return judge_->proportional(a, b, positive);
}

Outcome Comparison::equations(const Expr& gold, const Expr& prediction) const {
  for (const bool is_gold : {true, false}) {
    const Expr& relation = is_gold ? gold : prediction;
    if (!relation.is(Kind::kRelation)) continue;
    const std::string first = operators_of(relation)[0];
    // "x in S" says S; of a gold "x ~ 3.14" says 3.14; "17 ~ 18" says 17
    const bool is_about = first == "~";
    if ((first == "in" && is_name(relation.args[0])) || is_about) {
      if (is_about && !is_gold && is_name(relation.args[0])) return kDifferent;  // near is not equal
      const Expr& said = is_about && !is_name(relation.args[0]) ? relation.args[0] : relation.args[1];
      return is_gold ? answers(said, prediction) : answers(gold, said);
    }
    const std::vector<std::string> signs = operators_of(relation);
    if (signs.back() == "~" && signs.size() == 2) {
      const Expr exact = make(Kind::kRelation, first, {relation.args[0], relation.args[1]});
      return is_gold ? answers(exact, prediction) : answers(gold, exact);
    }
  }
  if (gold.is(Kind::kRelation) && !is_equation(gold)) return inequalities(gold, prediction);
  if (prediction.is(Kind::kRelation) && !is_equation(prediction)) return inequalities(gold, prediction);
  return gold.is(Kind::kRelation) ? gold_equation(gold, prediction) : predicted_chain(gold, prediction);
}

Outcome Comparison::gold_equation(const Expr& gold, const Expr& prediction) const {
  if (gold.args.size() != 2) return {Judgement::kUnknown, 0};
  if (!prediction.is(Kind::kRelation)) {
    // "y = 2x + 3" is not answered by 2x + 3: the gold asks for the equation
    const bool may_be_bare = is_assignment(gold) && (!has_unknowns(gold.args[1]) || is_structure(gold.args[1]) ||
                                                     gold.args[0].is(Kind::kCall) || gold.args[0].is(Kind::kText));
    return may_be_bare ? answers(gold.args[1], prediction) : kDifferent;
  }
  if (is_assignment(gold) && is_assignment(prediction)) {
    if (is_same_name(gold.args[0], prediction.args[0])) return answers(gold.args[1], prediction.args[1]);
    if (!has_unknowns(gold.args[1]) && !has_unknowns(prediction.args[1])) return kDifferent;
  }
  if (is_assignment(gold) && prediction.args.size() > 2 && is_same_name(gold.args[0], prediction.args[0])) {
    return predicted_chain(gold.args[1], prediction);
  }
  if (prediction.args.size() != 2) return {Judgement::kUnknown, 0};
  if (is_structure(gold.args[0]) || is_structure(prediction.args[0])) return {Judgement::kUnknown, 0};
  return proportional(difference(gold.args[0], gold.args[1]), difference(prediction.args[0], prediction.args[1]),
                      false);
}

// x = v, or a = b = c where all are equal: the last is the answer.
Outcome Comparison::predicted_chain(const Expr& gold, const Expr& chain) const {
  size_t begin = 0;
  if (is_name(chain.args[0])) {
    begin = 1;
  } else if (has_unknowns(chain.args[0]) && !has_unknowns(gold)) {
    return kDifferent;
  }
  Outcome outcome = answers(gold, chain.args.back());
  for (size_t i = begin; i + 1 < chain.args.size() && outcome.judgement != Judgement::kNotEqual; ++i) {
    outcome = both(outcome, answers(chain.args[i], chain.args[i + 1]));
  }
  return outcome;
}

Outcome Comparison::inequalities(const Expr& gold, const Expr& prediction) const {
  const std::optional<NamedSet> right = solution_set(gold);
  const std::optional<NamedSet> said = solution_set(prediction);
  if (right && said) {
    const bool is_same = right->name == said->name;
    return is_same ? answers(right->set, said->set) : kDifferent;
  }
  const auto is_set = [](const Expr& expr) { return expr.is(Kind::kTuple) || expr.is(Kind::kUnion); };
  const Expr* bare = &prediction;
  if (prediction.is(Kind::kRelation) && operators_of(prediction)[0] == "in") bare = &prediction.args[1];
  if (right && is_set(*bare)) return answers(right->set, *bare);
  const Expr* bare_gold = &gold;
  if (gold.is(Kind::kRelation) && operators_of(gold)[0] == "in") bare_gold = &gold.args[1];
  if (said && is_set(*bare_gold)) return answers(*bare_gold, said->set);
  if (!is_inequality(gold) || !is_inequality(prediction)) return kDifferent;
  const auto ascending = [](const Expr& relation) {
    const bool is_descending = relation.text[0] == '>';
    return difference(relation.args[is_descending ? 1 : 0], relation.args[is_descending ? 0 : 1]);
  };
  const auto sign = [](const Expr& relation) {
    return relation.text[0] == '>' ? "<" + relation.text.substr(1) : relation.text;
  };
  if (sign(gold) != sign(prediction)) return kDifferent;
  return proportional(ascending(gold), ascending(prediction), gold.text != "!=");
}

}  // namespace noregret::math
