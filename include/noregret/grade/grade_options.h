#pragma once

#include <cstdint>

#include "noregret/base/fields.h"

namespace noregret {

// What counts as equal beyond what is equal (math_answer's README says why each default is as it is).
struct GradeOptions {
  using HasFieldsTag = void;
  bool require_reduced = false;
  bool check_units = false;
  int64_t tolerance_digits = 0;
  bool percent_as_fraction = false;
  bool bare_base = false;
  bool accept_numeric = true;
  bool accept_overlap_300_bits = false;
  bool timeout_is_wrong = false;
  int64_t deadline_ms = 200;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    using noregret::Range;
    v("require_reduced", require_reduced, "2/4 is no answer to 1/2");
    v("check_units", check_units, "two units that are both given must be the same word");
    v("tolerance_digits", tolerance_digits, Range{0.0, 50.0},
      "a decimal that rounds the gold correctly to at least so many significant digits is equal; 0 = exact only");
    v("percent_as_fraction", percent_as_fraction, "0.25 answers 25 percent, and the other way round");
    v("bare_base", bare_base, "101 answers 101 in base 2");
    v("accept_numeric", accept_numeric, "expressions that agree at 8 points to 100 bits are equal");
    v("accept_overlap_300_bits", accept_overlap_300_bits,
      "constants that agree to 300 bits, without a proof, are equal");
    v("timeout_is_wrong", timeout_is_wrong, "an answer that takes too long pays 0 instead of being left out");
    v("deadline_ms", deadline_ms, Range{1.0, 60000.0}, "for one comparison, from the start of the work");
  }
};

}  // namespace noregret
