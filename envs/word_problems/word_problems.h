#pragma once

#include <memory>

#include "noregret/rollout/env.h"

namespace noregret {

// Shares of demonstrations that are wrong on purpose, so that a model trained on them leaves something for RL to
// improve.
struct SloppyShares {
  using HasFieldsTag = void;
  double guess = 0.0;
  double slip = 0.0;
  double no_answer = 0.0;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("guess", guess, Range{0.0, 1.0}, "no working: straight to '#### n' with a wrong number of the story");
    v("slip", slip, Range{0.0, 1.0}, "one step of the working is off by one");
    v("no_answer", no_answer, Range{0.0, 1.0}, "right working without the '####' line");
  }
};

struct WordProblemOptions {
  using HasFieldsTag = void;
  int64_t level = 2;
  int64_t max_number = 20;
  SloppyShares sloppy;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{1, 3}, "sums and differences that a problem takes");
    v("max_number", max_number, Range{2, 999}, "largest number in a story; no result is above three times it");
    v("sloppy", sloppy, "shares of wrong demonstrations; the others are right");
  }
};

// Short stories in GSM8K's answer form, without end:
//   Tom has 5 pens. He buys 7 more. He loses 4. How many pens does he have?
//   5+7=12. 12-4=8.
//   #### 8
// Characters: letters, digits, space, line end, and . ? + - = #. Metadata: {"level", "steps"}. Throws ConfigError when
// the sloppy shares sum to more than 1.
std::unique_ptr<TaskSource> make_word_problems(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
