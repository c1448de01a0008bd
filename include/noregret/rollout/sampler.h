#pragma once

#include <vector>

#include "noregret/tensor/tensor.h"

namespace noregret {

struct Sampled {
  std::vector<int64_t> ids;
  std::vector<float> logprobs;
};

// One token a row from softmax(logits / temperature) by inverse CDF: probabilities in f32, summed in fixed tiles of
// 256, the token is the first whose cumulative sum exceeds uniform * total. Temperature 0 takes the arg max (the lowest
// id on ties), log-probs at temperature 1.
//   logits [B, V] f32, uniforms B numbers in [0, 1)
// Throws DataError on a row that is not finite ("the model's logits are not finite").
Sampled sample_tokens(const Tensor& logits, double temperature, const std::vector<float>& uniforms);
[[noreturn]] void throw_not_finite();  // that error

}  // namespace noregret
