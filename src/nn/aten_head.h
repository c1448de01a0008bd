#pragma once

#include "noregret/nn/causal_lm.h"

namespace noregret {

// CausalLm::token_scores() of logits [M, V] by ATen. The backward pass forms d loss / d logits without the graph of a
// log-softmax: with z = logits / temperature, d ln p / d logits = (onehot - p) / temperature.
TokenScores aten_token_scores(const Tensor& logits, const Tensor& targets, double temperature);

}  // namespace noregret
