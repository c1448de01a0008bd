#pragma once

#include <string>
#include <vector>

#include "noregret/base/fields.h"

namespace noregret {

// What is trained beside the frozen base; recipe: docs/recipe.md.
struct AdapterOptions {
  using HasFieldsTag = void;
  std::string method = "lora";
  int64_t rank = 8;
  double alpha = 32.0;
  std::vector<std::string> targets = {"all"};
  std::string init_from;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("method", method, OneOf{"lora"}, "how a linear layer is changed");
    v("rank", rank, AtLeast{1}, "rows of A, columns of B; 1 to 8 is enough for RL");
    v("alpha", alpha, GreaterThan{0},
      "the low-rank path is scaled by alpha / rank; 32 at every rank keeps the best LR in place");
    v("targets", targets,
      "'all' (every linear layer and the head), or some of q_proj k_proj v_proj o_proj gate_proj up_proj down_proj "
      "lm_head");
    v("init_from", init_from, "folder of a PEFT adapter or checkpoint to start from; empty = fresh (B = 0)");
  }
};

}  // namespace noregret
