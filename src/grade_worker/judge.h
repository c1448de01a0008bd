#pragma once

#include "noregret/grade/compare.h"

namespace noregret::math {

// Tiers 2 to 4: closed-form constants, rational functions, and balls at points that depend on the two answers alone.
class Judge : public LeafJudge {
 public:
  explicit Judge(const GradeOptions& options) : options_(options) {}
  Outcome same(const Expr& a, const Expr& b) override;
  Outcome proportional(const Expr& a, const Expr& b, bool positive) override;
  Outcome rounds(const Expr& value, const Expr& decimal) override;

 private:
  Outcome same_with(const Expr& a, const Expr& b, bool log_is_decimal) const;
  Outcome same_constants(const Expr& a, const Expr& b, bool log_is_decimal) const;
  Outcome same_at_points(const Expr& a, const Expr& b, bool log_is_decimal) const;

  const GradeOptions& options_;
};

}  // namespace noregret::math
