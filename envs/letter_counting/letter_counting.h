#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct LetterCountingOptions {
  using HasFieldsTag = void;
  int64_t level = 1;
  std::string instruction = "End with a line '#### <number>' that holds only the final number.";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{1, 10}, "words whose letters are counted");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// "How many times does the letter r stand in "raspberry"?" Three times in four the letter is one that does.
// Metadata: {"level", "letter", "text"}.
std::unique_ptr<TaskSource> make_letter_counting(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
