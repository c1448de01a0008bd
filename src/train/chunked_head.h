#pragma once

#include <cstdint>

#include "noregret/nn/causal_lm.h"

namespace noregret {

struct TokenScores {
  Tensor logprobs;  // [M] f32
  Tensor entropy;   // [M] f32
};

// The LM head and the log-softmax over rows of hidden states, `chunk_tokens` rows at a time, so that the logits of all
// M rows never exist together. Borrows the model; one object a microbatch.
class ChunkedHead {
 public:
  struct Options {
    double temperature = 1.0;
    int64_t chunk_tokens = 1024;
    bool needs_row_grad = false;
  };
  // rows [M, D], targets [M] int64
  ChunkedHead(const CausalLm& model, const AdapterStack& stack, Tensor rows, Tensor targets, Options options);

  // Values only.
  TokenScores score();

  // After score(), once. Adds to the gradients of what is trainable in the head. Returns d loss / d rows [M, D],
  // undefined without needs_row_grad.
  //   grad_logprobs [M]: d loss / d logprobs
  Tensor backward(const Tensor& grad_logprobs);

 private:
  struct Chunk {
    int64_t begin;
    Tensor rows;     // a leaf
    Tensor targets;  // [m]
    Tensor logits;   // [m, V]
  };
  Chunk chunk(int64_t begin) const;

  const CausalLm& model_;
  const AdapterStack& stack_;
  Tensor rows_;
  Tensor targets_;
  Options options_;
  Chunk kept_;  // when all rows are one chunk, its logits serve both passes
};

}  // namespace noregret
