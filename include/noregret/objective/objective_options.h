#pragma once

#include <string>

#include "noregret/base/fields.h"

namespace noregret {

// Which loss an update minimizes; formulas at policy_loss.h and advantage.h.
struct ObjectiveOptions {
  using HasFieldsTag = void;
  std::string name = "is";
  std::string advantage = "center";
  std::string aggregation = "token_mean";
  double clip_eps = 0.2;
  double kl_coef = 0.0;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("name", name, OneOf{"is", "ppo", "cross_entropy"}, "surrogate; cross_entropy is the one of mode: sft");
    v("advantage", advantage, OneOf{"center", "rloo", "grpo"}, "how a group's rewards become advantages");
    v("aggregation", aggregation, OneOf{"token_mean"},
      "sum over loss tokens divided by the loss tokens of the whole step");
    v("clip_eps", clip_eps, Range{0.0, 1.0}, "ratio clip of ppo, eq. 7 of arXiv:1707.06347");
    v("kl_coef", kl_coef, Range{0.0, 10.0},
      "weight of KL(policy || start policy) in nats a token; 0 skips the reference pass");
  }
};

}  // namespace noregret
