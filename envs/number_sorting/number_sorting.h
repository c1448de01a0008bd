#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct NumberSortingOptions {
  using HasFieldsTag = void;
  int64_t level = 5;
  int64_t max_number = 99;
  std::string instruction = "End with a line '#### ' and the numbers in order, with commas between them.";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{2, 30}, "numbers to sort");
    v("max_number", max_number, Range{50, 99999}, "largest number");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// "Sort these numbers from smallest to largest: 41, 7, 23." (or from largest to smallest). The numbers are all
// different, and not in the asked-for order. Judges itself: the same numbers in the same order. Metadata: {"level"}.
std::unique_ptr<TaskSource> make_number_sorting(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
