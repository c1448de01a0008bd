#pragma once

#include <vector>

#include "noregret/grade/compare.h"

namespace noregret::math {

// One comparison of two answers.
class Comparison {
 public:
  Comparison(const GradeOptions& options, LeafJudge* judge) : options_(options), judge_(judge) {}

  Outcome answers(const Expr& gold, const Expr& prediction) const;

 private:
  // comparison.cc: structures
  Outcome values(const Expr& gold, const Expr& prediction) const;
  Outcome lists(const Expr& gold, const Expr& prediction) const;
  Outcome all(const std::vector<Expr>& gold, const std::vector<Expr>& prediction) const;      // in order
  Outcome matched(const std::vector<Expr>& gold, const std::vector<Expr>& prediction) const;  // in any order
  Outcome words(const Expr& gold, const Expr& prediction) const;
  Outcome based(const Expr& gold, const Expr& prediction) const;

  // comparison_relations.cc
  Outcome equations(const Expr& gold, const Expr& prediction) const;
  Outcome gold_equation(const Expr& gold, const Expr& prediction) const;
  Outcome predicted_chain(const Expr& gold, const Expr& chain) const;
  Outcome inequalities(const Expr& gold, const Expr& prediction) const;
  Outcome proportional(const Expr& a, const Expr& b, bool positive) const;

  // comparison_leaves.cc
  Outcome leaves(const Expr& gold, const Expr& prediction) const;
  Outcome bare_leaves(const Expr& gold, const Expr& prediction) const;

  const GradeOptions& options_;
  LeafJudge* judge_;
};

// Both must hold.
Outcome both(const Outcome& a, const Outcome& b);

}  // namespace noregret::math
