#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct PolynomialProductsOptions {
  using HasFieldsTag = void;
  int64_t level = 2;
  int64_t max_coefficient = 5;
  std::string instruction = "Collect equal powers, and put the final polynomial in \\boxed{}.";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{2, 5}, "factors of the form ax+b");
    v("max_coefficient", max_coefficient, Range{2, 99}, "largest a and b, without their signs");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// "Expand (2x+1)(x-3)." -> \boxed{2x^2-5x-3}. Judges itself: the same polynomial, multiplied out. Metadata: {"level"}.
std::unique_ptr<TaskSource> make_polynomial_products(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
