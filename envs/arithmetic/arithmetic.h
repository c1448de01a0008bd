#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct ArithmeticOptions {
  using HasFieldsTag = void;
  int64_t level = 2;
  int64_t max_number = 20;
  std::string operators = "+-";
  std::string instruction;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{1, 8}, "operations that a problem takes");
    v("max_number", max_number, Range{3, 999}, "largest number in a question");
    v("operators", operators, OneOf{"+-", "+-*", "*"}, "what stands between the numbers");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// Sums, differences and products, products before sums, in GSM8K's answer form:
//   What is 3+4*2?
//   4*2=8. 3+8=11.
//   #### 11
// No number on the way is negative. Metadata: {"level"}.
std::unique_ptr<TaskSource> make_arithmetic(FieldReader& reader, const EnvContext& context);
std::unique_ptr<TaskSource> make_arithmetic(const ArithmeticOptions& options, uint64_t seed);

}  // namespace noregret
