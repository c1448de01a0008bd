#pragma once

#include <memory>
#include <string>
#include <vector>

#include "noregret/rollout/env.h"

namespace noregret {

struct BaseConversionOptions {
  using HasFieldsTag = void;
  int64_t level = 3;
  std::vector<int64_t> bases = {2, 8, 10, 16};
  std::string instruction = "End with a line '#### <number>' that holds only the digits of the final number.";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{2, 10}, "digits of the number that is converted");
    v("bases", bases, Range{2, 36}, "from one of these to another");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// "Convert 2d from base 16 to base 2." Digits above 9 are letters. Judges itself: the same number, case and leading
// zeros aside. Metadata: {"level", "from", "to"}. Throws ConfigError when there are not two different bases.
std::unique_ptr<TaskSource> make_base_conversion(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
