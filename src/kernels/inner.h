#pragma once

#include <cstdint>

namespace noregret::kernels {

// c [rows, 16 * panels] = or += a [rows, k] times b [k, 16 * panels], each element by one chain of FMAs over k from 0
// on. With `adds` the chain goes on from c, so that a product may be cut along k, and go on with another matrix's.
struct Tile {
  const float* a;
  int64_t a_row;         // stride between rows
  int64_t a_k;           // stride along k; this or a_row is 1
  const void* const* b;  // of each panel: k rows of 16 f32, b_k apart; or ceil(k / 2) rows of 16 pairs of bf16
  int64_t b_k;
  float* c;
  int64_t c_row;
  int64_t num_rows;
  int64_t num_panels;
  int64_t k;
  bool adds;
  int64_t a_half = 0;          // not 0: the upper eight lanes take the a that lies so far behind; a_k is 1, b is f32
  const void* next = nullptr;  // a panel that is read after these, where one is known
  const Tile* then =
      nullptr;  // a f32 product that the chains go on with: its a, a_row, b and k count, a_k is 1, b_k 16
};

// Over one row of logits z = logits / temperature: max, sum of e^(z - max), sum of e^(z - max) (z - max).
struct RowSum {
  float max;
  float sum;
  float weighted;
};

constexpr int64_t kSamplingTile = 256;

// The loops that are written once and compiled for each instruction set. All of one thread.
struct Inner {
  int64_t panels_at_once;  // of a block of many rows
  void (*multiply_f32)(const Tile& tile);
  void (*multiply_bf16)(const Tile& tile);  // a_k is 1
  // b: of every 16 k, a page [16, 16 * panels] of f32 with rows b_k apart; a_k is 1
  void (*multiply_pages)(const Tile& tile);
  // y = x * r * weight, r = 1 / sqrt(mean(x^2) + eps), which is returned
  float (*rms_norm)(const float* x, const float* weight, float* y, int64_t size, float eps);
  // Adds to grad_x what rms_norm's backward gives. With n = x r: r (g w - n mean(g w n)).
  void (*rms_norm_backward)(const float* x, const float* weight, float inverse, const float* grad_y, float* grad_x,
                            int64_t size);
  // y = silu(gate) * up
  void (*swiglu)(const float* gate, const float* up, float* y, int64_t size);
  // In place: gate becomes its gradient, up its own.
  void (*swiglu_backward)(float* gate, float* up, const float* grad_y, int64_t size);
  // row[0, size) becomes e^(scale row - max), row[size, padded) 0; returns the sum.
  float (*softmax)(float* row, int64_t size, int64_t padded, float scale);
  float (*dot)(const float* a, const float* b, int64_t size);
  RowSum (*row_sum)(const float* logits, int64_t size, float temperature);
  // row becomes e^(z - max), sums[i] the sum of its i-th tile of kSamplingTile.
  void (*exponentials)(float* row, int64_t size, float temperature, float max, float* sums);
  // logits become coefficient / temperature * (onehot(target) - softmax(z)).
  void (*softmax_gradient)(float* logits, int64_t size, int64_t target, float temperature, RowSum sum,
                           float coefficient);
  int64_t (*arg_max)(const float* row, int64_t size);  // the lowest on ties; of a NaN, -1
};

extern const Inner kPortableInner;
extern const Inner kAvx2Inner;
extern const Inner kAvx512Inner;

const Inner& inner();  // of current_isa()

}  // namespace noregret::kernels
