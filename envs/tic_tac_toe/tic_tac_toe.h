#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct TicTacToeOptions {
  using HasFieldsTag = void;
  int64_t level = 1;
  std::string instruction = "Write #### and then the number of a free square.";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("level", level, Range{1, 3},
      "the opponent: 1 = any free square, 2 = wins and stops a win where it can, 3 = never loses");
    v("instruction", instruction, "line after each question; empty = none");
  }
};

// The policy is X and begins on a board that may have been played on; it answers with the square's number.
//   Tic-tac-toe. You are X. Squares are
//   1O3
//   456
//   78X
// Score 1 for a win, 0.5 for a draw, 0 for a loss, an unfinished game, or a square that is not free, which ends the
// game: parse_error. Parts: win, draw, illegal, turns. Every position is X's to move and not lost yet. Metadata: level,
// board (nine of 'X', 'O' and ' '), opponent (the key of its draws).
std::unique_ptr<TaskSource> make_tic_tac_toe(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
