#pragma once

#include <vector>

#include "noregret/nn/causal_lm.h"

namespace noregret {

// The model below its head, forward and backward over one microbatch, for the hidden states of `rows` ([M] int64). With
// `is_recomputed` only each layer's input is kept, and the backward pass computes every layer once more. Borrows all
// but the tensors.
class Trunk {
 public:
  Trunk(const CausalLm& model, const AdapterStack& stack, const TokenBatch& tokens, const Tensor& rows,
        bool is_recomputed);

  Tensor hidden() const { return output_.detach(); }  // [M, D]
  bool needs_grad() const { return needs_grad_; }     // something below the head is trained
  void backward(const Tensor& grad_hidden);           // adds to the gradients of what is trained; once

 private:
  void backward_by_layer(Tensor grad);

  const CausalLm& model_;
  const AdapterStack& stack_;
  const TokenBatch& tokens_;
  bool is_recomputed_;
  bool needs_grad_ = false;
  ForwardPlan plan_;
  std::vector<Tensor> inputs_;  // of each layer, then of the final norm
  Tensor output_;
};

}  // namespace noregret
