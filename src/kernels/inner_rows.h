#pragma once

// Norms, activations and softmax, a row at a time. Part of inner_loops.h.

#include "kernels/inner.h"
#include "kernels/simd.h"

namespace noregret::kernels {
namespace {

// visit(i, count) for vectors of 16, the last of which may be partly filled.

template <class Whole, class Part>
NOREGRET_INLINE void for_vectors(int64_t size, const Whole& whole, const Part& part) {
  int64_t i = 0;
  for (; i + 16 <= size; i += 16) whole(i);
  if (i < size) part(i, size - i);
}

float dot(const float* a, const float* b, int64_t size) {
  F16 sums = set1(0.0f);
  for_vectors(
      size, [&](int64_t i) { sums = fma(load(a + i), load(b + i), sums); },
      [&](int64_t i, int64_t n) { sums = fma(load_some(a + i, n, 0.0f), load_some(b + i, n, 0.0f), sums); });
  return sum_lanes(sums);
}

float rms_norm(const float* x, const float* weight, float* y, int64_t size, float eps) {
  const float mean = dot(x, x, size) / static_cast<float>(size);
  const float inverse = 1.0f / __builtin_sqrtf(mean + eps);
  const F16 r = set1(inverse);
  for_vectors(
      size, [&](int64_t i) { store(y + i, mul(mul(load(x + i), r), load(weight + i))); },
      [&](int64_t i, int64_t n) {
        store_some(y + i, mul(mul(load_some(x + i, n, 0.0f), r), load_some(weight + i, n, 0.0f)), n);
      });
  return inverse;
}

void rms_norm_backward(const float* x, const float* weight, float inverse, const float* grad_y, float* grad_x,
                       int64_t size) {
  const F16 r = set1(inverse);
  F16 sums = set1(0.0f);
  const auto along = [&](F16 x_i, F16 w, F16 g) { sums = fma(mul(g, w), mul(x_i, r), sums); };
  for_vectors(
      size, [&](int64_t i) { along(load(x + i), load(weight + i), load(grad_y + i)); },
      [&](int64_t i, int64_t n) {
        along(load_some(x + i, n, 0.0f), load_some(weight + i, n, 0.0f), load_some(grad_y + i, n, 0.0f));
      });
  const F16 mean = set1(-sum_lanes(sums) / static_cast<float>(size));
  const auto grad = [&](F16 x_i, F16 w, F16 g, F16 sum) { return fma(fma(mul(x_i, r), mean, mul(g, w)), r, sum); };
  for_vectors(
      size,
      [&](int64_t i) { store(grad_x + i, grad(load(x + i), load(weight + i), load(grad_y + i), load(grad_x + i))); },
      [&](int64_t i, int64_t n) {
        store_some(grad_x + i,
                   grad(load_some(x + i, n, 0.0f), load_some(weight + i, n, 0.0f), load_some(grad_y + i, n, 0.0f),
                        load_some(grad_x + i, n, 0.0f)),
                   n);
      });
}

NOREGRET_INLINE F16 sigmoid(F16 x) { return div(set1(1.0f), add(set1(1.0f), exp(sub(set1(0.0f), x)))); }

void swiglu(const float* gate, const float* up, float* y, int64_t size) {
  const auto value = [](F16 g, F16 u) { return mul(mul(g, sigmoid(g)), u); };
  for_vectors(
      size, [&](int64_t i) { store(y + i, value(load(gate + i), load(up + i))); },
      [&](int64_t i, int64_t n) {
        store_some(y + i, value(load_some(gate + i, n, 0.0f), load_some(up + i, n, 0.0f)), n);
      });
}

// d silu(g) = s (1 + g (1 - s)), s = sigmoid(g)
void swiglu_backward(float* gate, float* up, const float* grad_y, int64_t size) {
  const auto gradients = [](F16& g, F16& u, F16 dy) {
    const F16 s = sigmoid(g);
    const F16 slope = mul(s, fma(g, sub(set1(1.0f), s), set1(1.0f)));
    const F16 silu = mul(g, s);
    g = mul(mul(dy, u), slope);
    u = mul(dy, silu);
  };
  for_vectors(
      size,
      [&](int64_t i) {
        F16 g = load(gate + i), u = load(up + i);
        gradients(g, u, load(grad_y + i));
        store(gate + i, g);
        store(up + i, u);
      },
      [&](int64_t i, int64_t n) {
        F16 g = load_some(gate + i, n, 0.0f), u = load_some(up + i, n, 0.0f);
        gradients(g, u, load_some(grad_y + i, n, 0.0f));
        store_some(gate + i, g, n);
        store_some(up + i, u, n);
      });
}

constexpr float kLowest = -3.40282347e+38f;

float softmax(float* row, int64_t size, int64_t padded, float scale) {
  const F16 factor = set1(scale);
  F16 most = set1(kLowest);
  for_vectors(
      size, [&](int64_t i) { most = max(most, load(row + i)); },
      [&](int64_t i, int64_t n) { most = max(most, load_some(row + i, n, kLowest)); });
  const F16 top = set1(max_lanes(most) * scale);  // scale > 0
  F16 sums = set1(0.0f);
  for_vectors(
      size,
      [&](int64_t i) {
        const F16 e = exp(sub(mul(load(row + i), factor), top));
        sums = add(sums, e);
        store(row + i, e);
      },
      [&](int64_t i, int64_t n) {
        float lanes[16];
        store(lanes, exp(sub(mul(load_some(row + i, n, 0.0f), factor), top)));
        const F16 e = load_some(lanes, n, 0.0f);  // a lane without a key adds 0, which changes no sum
        sums = add(sums, e);
        store_some(row + i, e, n);
      });
  for (int64_t i = size; i < padded; ++i) row[i] = 0.0f;
  return sum_lanes(sums);
}

}  // namespace
}  // namespace noregret::kernels
