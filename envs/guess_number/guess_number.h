#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct GuessNumberOptions {
  using HasFieldsTag = void;
  int64_t numbers = 8;
  int64_t max_low = 90;
  int64_t max_turns = 4;
  std::string instruction = "Write #### and then the number.";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("numbers", numbers, Range{2, 1000000}, "how many there are to choose from");
    v("max_low", max_low, Range{20, 1000000}, "the lowest of them is from 1 to this");
    v("max_turns", max_turns, Range{1, 64}, "guesses; halving finds one of 7 in 3, of 15 in 4");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// A number is to be guessed in a few turns; each wrong guess is told whether the number is larger or smaller:
//   I think of a number from 21 to 28. Guess it in 4 turns.
//   #### 24
//   The number is larger.
//   #### 26
// Score 1 when it is found, else 0. Parts: found, turns, unreadable (turns without a number, which count).
// Demonstrations are of the first turn: any number of the range.
std::unique_ptr<TaskSource> make_guess_number(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
