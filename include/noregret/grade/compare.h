#pragma once

#include "noregret/grade/expr.h"
#include "noregret/grade/grade_options.h"

namespace noregret::math {

enum class Judgement {
  kEqual,
  kNotEqual,
  kUnknown,    // neither shown
  kUndecided,  // needs a LeafJudge
  kOverCap,
};

// By what it was decided: 0 canonical trees, 1 exact rationals, 2 closed-form constants, 3 polynomials and rational
// functions, 4 balls at points. Structures are decided part by part, and count as the highest tier of a part.
struct Outcome {
  Judgement judgement = Judgement::kUnknown;
  int tier = 0;
};

// Decides about values that exact rationals do not decide. Lives in the worker program: its work may blow up.
class LeafJudge {
 public:
  virtual ~LeafJudge() = default;
  virtual Outcome same(const Expr& a, const Expr& b) = 0;
  // Is a = c * b for a constant c other than 0 (with `positive`: c > 0)?
  virtual Outcome proportional(const Expr& a, const Expr& b, bool positive) = 0;
  // Does `decimal`, a number with a point, round `value` correctly?
  virtual Outcome rounds(const Expr& value, const Expr& decimal) = 0;
};

// The prediction against the gold. Without a judge, what exact rationals do not decide is kUndecided; the time is then
// linear in the size of the trees but for lists, where each item is compared with each (64 of them at most).
Outcome compare(const Expr& gold, const Expr& prediction, const GradeOptions& options, LeafJudge* judge);

bool is_list(const Expr& expr);  // several values: a list, or a value with a plus-minus sign
// Holds a fraction of whole numbers with a common factor.
bool has_unreduced_fraction(const Expr& expr);

}  // namespace noregret::math
