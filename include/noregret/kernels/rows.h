#pragma once

#include <cstdint>
#include <span>

#include "noregret/kernels/thread_pool.h"

// Functions of one row each. Matrices are row-major without gaps.
namespace noregret::kernels {

// y = x r weight with r = 1 / sqrt(mean(x^2) + eps) (arXiv:1910.07467).  x, y [rows, size]; inverse [rows]: r, or null
void rms_norm(ThreadPool& pool, int64_t num_rows, int64_t size, const float* x, const float* weight, float eps,
              float* y, float* inverse);
// Adds d loss / d x to grad_x. With n = x r: r (g w - n mean(g w n)).
void rms_norm_backward(ThreadPool& pool, int64_t num_rows, int64_t size, const float* x, const float* weight,
                       const float* inverse, const float* grad_y, float* grad_x);
// Adds d loss / d weight to grad_weight, row after row: sum of g n.
void rms_norm_weight_gradient(int64_t num_rows, int64_t size, const float* x, const float* inverse, const float* grad_y,
                              float* grad_weight);

// y = silu(gate) up (arXiv:2002.05202).
void swiglu(ThreadPool& pool, int64_t num_rows, int64_t size, const float* gate, const float* up, float* y);
// In place: gate and up become their gradients.
void swiglu_backward(ThreadPool& pool, int64_t num_rows, int64_t size, float* gate, float* up, const float* grad_y);

// Half-split rotation (arXiv:2104.09864 in the NeoX layout), in place: elements i and i + head_dim / 2 of each head are
// a complex number that is turned by angle i of the row's position; `back` turns the other way.
//   x [rows, num_heads, head_dim]; table [positions, head_dim / 2] pairs (cos, sin); positions [rows]
void rotary(ThreadPool& pool, int64_t num_rows, int64_t num_heads, int64_t head_dim, float* x, const float* table,
            const int64_t* positions, bool back);

void add(ThreadPool& pool, int64_t size, const float* x, float* y);  // y += x

// --- the vocabulary

// z = logits / temperature, p = softmax(z): ln p[target] and the entropy -sum p ln p, of each row.
void token_scores(ThreadPool& pool, int64_t num_rows, int64_t vocab_size, const float* logits, const int64_t* targets,
                  float temperature, float* logprobs, float* entropy);
// In place: logits become d loss / d logits = coefficient / temperature (onehot(target) - p).
void token_gradients(ThreadPool& pool, int64_t num_rows, int64_t vocab_size, float* logits, const int64_t* targets,
                     float temperature, const float* coefficients);
// One token a row by inverse CDF: weights e^(z - max) summed in tiles of 256, tile after tile; the token is the first
// whose cumulative sum exceeds uniform * total, uniforms being in [0, 1). Temperature 0 takes the arg max (the lowest
// id on ties), and log-probs at temperature 1. logprobs are token_scores()'s, bit for bit. Returns false when a row is
// not finite.
[[nodiscard]] bool sample(ThreadPool& pool, int64_t num_rows, int64_t vocab_size, const float* logits,
                          float temperature, const float* uniforms, int64_t* tokens, float* logprobs);

}  // namespace noregret::kernels
