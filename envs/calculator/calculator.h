#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct CalculatorOptions {
  using HasFieldsTag = void;
  int64_t level = 2;
  int64_t max_number = 99;
  std::string operators = "+-*";
  int64_t max_turns = 6;
  std::string instruction = "A line calc 3+4 gets you its value. End with #### and the result.";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{1, 8}, "operations that a problem takes");
    v("max_number", max_number, Range{3, 999}, "largest number in a question");
    v("operators", operators, OneOf{"+-", "+-*", "*"}, "what stands between the numbers");
    v("max_turns", max_turns, Range{1, 64}, "turns, the one with the result included");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// Problems of the task `arithmetic`, with a tool: a turn that ends with a line "calc <expression>" is answered with the
// expression's value, exactly; one with "#### <number>" ends the episode.
//   What is 37*12-48?
//   calc 37*12-48
//   396
//   #### 396
// Score 1 for the right result, else 0. Parts: right, calls, bad_calls (what the calculator cannot read, and turns that
// are neither).
std::unique_ptr<TaskSource> make_calculator(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
