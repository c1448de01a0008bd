#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct CountdownOptions {
  using HasFieldsTag = void;
  int64_t level = 2;
  int64_t max_number = 20;
  int64_t max_target = 100;
  std::string instruction =
      "Think step by step. End with a line '#### ' and an expression with these numbers, as in #### (5+7)*2";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{1, 5}, "operations that a solution takes; one number more is given");
    v("max_number", max_number, Range{4, 100}, "largest given number");
    v("max_target", max_target, Range{4, 1000}, "largest number to be reached; at least max_number");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// "Use the numbers 5, 7 and 2, each exactly once, with + - * / and brackets to make 24." Each problem has a solution,
// the reference, whose steps are whole numbers from 1 to max_target. Judges itself, and exactly: any expression counts
// that has each given number once and the value asked for. Metadata: {"level", "numbers", "target"}. Throws ConfigError
// when max_target is below max_number.
std::unique_ptr<TaskSource> make_countdown(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
