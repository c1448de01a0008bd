#pragma once

// Log-sum-exp, sampling weights and gradients of rows of logits. Part of inner_loops.h.

#include "kernels/inner_rows.h"

namespace noregret::kernels {
namespace {

NOREGRET_INLINE F16 scaled(F16 logits, float temperature) {
  return temperature == 1.0f ? logits : div(logits, set1(temperature));
}

RowSum row_sum(const float* logits, int64_t size, float temperature) {
  F16 most = set1(kLowest);
  for_vectors(
      size, [&](int64_t i) { most = max(most, load(logits + i)); },
      [&](int64_t i, int64_t n) { most = max(most, load_some(logits + i, n, kLowest)); });
  const float top = max_lanes(most);
  const float highest = temperature == 1.0f ? top : top / temperature;
  const F16 shift = set1(highest);
  F16 sums = set1(0.0f), weighted = set1(0.0f);
  for_vectors(
      size,
      [&](int64_t i) {
        const F16 z = sub(scaled(load(logits + i), temperature), shift);
        const F16 e = exp(z);
        sums = add(sums, e);
        weighted = fma(e, z, weighted);
      },
      [&](int64_t i, int64_t n) {
        const F16 z = sub(scaled(load_some(logits + i, n, 0.0f), temperature), shift);
        float lanes[16];
        store(lanes, exp(z));
        const F16 e = load_some(lanes, n, 0.0f);
        store(lanes, z);
        sums = add(sums, e);
        weighted = fma(e, load_some(lanes, n, 0.0f), weighted);
      });
  return {highest, sum_lanes(sums), sum_lanes(weighted)};
}

void exponentials(float* row, int64_t size, float temperature, float max, float* sums) {
  const F16 shift = set1(max);
  for (int64_t begin = 0; begin < size; begin += kSamplingTile) {
    F16 sum = set1(0.0f);
    float* tile = row + begin;
    for_vectors(
        size - begin < kSamplingTile ? size - begin : kSamplingTile,
        [&](int64_t i) {
          const F16 e = exp(sub(scaled(load(tile + i), temperature), shift));
          sum = add(sum, e);
          store(tile + i, e);
        },
        [&](int64_t i, int64_t n) {
          store_some(tile + i, exp(sub(scaled(load_some(tile + i, n, 0.0f), temperature), shift)), n);
          sum = add(sum, load_some(tile + i, n, 0.0f));
        });
    sums[begin / kSamplingTile] = sum_lanes(sum);
  }
}

void softmax_gradient(float* logits, int64_t size, int64_t target, float temperature, RowSum sum, float coefficient) {
  const float scale = coefficient / temperature;
  const F16 shift = set1(sum.max);
  const F16 factor = set1(-scale / sum.sum);
  for_vectors(
      size, [&](int64_t i) { store(logits + i, mul(exp(sub(scaled(load(logits + i), temperature), shift)), factor)); },
      [&](int64_t i, int64_t n) {
        store_some(logits + i, mul(exp(sub(scaled(load_some(logits + i, n, 0.0f), temperature), shift)), factor), n);
      });
  logits[target] += scale;
}

int64_t arg_max(const float* row, int64_t size) {
  F16 most = set1(kLowest);
  for_vectors(
      size, [&](int64_t i) { most = max(most, load(row + i)); },
      [&](int64_t i, int64_t n) { most = max(most, load_some(row + i, n, kLowest)); });
  const float top = max_lanes(most);
  for (int64_t i = 0; i < size; ++i) {
    if (row[i] == top) return i;
  }
  return -1;
}

}  // namespace
}  // namespace noregret::kernels
