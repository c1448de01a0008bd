#pragma once

#include <optional>
#include <string>
#include <vector>

#include "noregret/base/fields.h"

namespace noregret {

struct OptimizerOptions {
  using HasFieldsTag = void;
  std::string lr = "auto";
  std::vector<double> betas = {0.9, 0.95};
  double eps = 1e-8;
  double weight_decay = 0.0;
  double max_grad_norm = 0.0;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("lr", lr, "learning rate, constant; 'auto' = the recipe's law (docs/recipe.md)");
    v("betas", betas, Range{0.0, 1.0}, "Adam's decay rates of the two moments");
    v("eps", eps, GreaterThan{0}, "Adam's epsilon");
    v("weight_decay", weight_decay, AtLeast{0}, "decoupled decay; 0 is the recipe's");
    v("max_grad_norm", max_grad_norm, AtLeast{0}, "clip the global gradient norm; 0 = never");
  }
};

struct TrainOptions {
  using HasFieldsTag = void;
  int64_t steps = 100;
  int64_t updates_per_batch = 1;
  int64_t microbatch_tokens = 8192;
  int64_t head_chunk_tokens = 0;
  bool gradient_checkpointing = false;
  int64_t max_skipped_updates = 5;
  int64_t save_every = 20;
  int64_t keep_last = 3;
  int64_t keep_every = 0;
  int64_t keep_best = 0;
  double stall_s = 1800;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("steps", steps, AtLeast{0}, "updates in all, also on resume");
    v("updates_per_batch", updates_per_batch, AtLeast{1},
      "passes over each batch; more than 1 wants objective.name: ppo");
    v("microbatch_tokens", microbatch_tokens, AtLeast{1},
      "tokens a forward and backward; bounds memory, changes no result beyond rounding");
    v("head_chunk_tokens", head_chunk_tokens, AtLeast{0},
      "rows of logits held at a time; 0 = 256 on the CPU, 512 on CUDA");
    v("gradient_checkpointing", gradient_checkpointing,
      "recompute each layer in the backward pass: less memory, one forward more");
    v("max_skipped_updates", max_skipped_updates, AtLeast{1},
      "stop (exit 76) after this many non-finite updates in a row");
    v("save_every", save_every, AtLeast{0}, "steps between checkpoints; 0 = only the last");
    v("keep_last", keep_last, AtLeast{1}, "checkpoints kept");
    v("keep_every", keep_every, AtLeast{0}, "keep also those whose step is a multiple of it; 0 = none");
    v("keep_best", keep_best, AtLeast{0}, "keep also this many with the best evaluation; wants eval.every");
    v("stall_s", stall_s, GreaterThan{0}, "seconds without progress until a warning; after as many more, exit 70");
  }
};

}  // namespace noregret
