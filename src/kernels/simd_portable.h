#pragma once

// F16 as an array, in plain C++. Included by simd.h alone, which says what the operations are.

#include "kernels/simd_inline.h"

namespace noregret::kernels {
namespace {

struct F16 {
  float v[16];
};

template <class Op>
NOREGRET_INLINE F16 lanes(const Op& op) {
  F16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = op(i);
  return r;
}
NOREGRET_INLINE F16 set1(float x) {
  return lanes([=](int) { return x; });
}
NOREGRET_INLINE F16 set2(float x, float y) {
  return lanes([=](int i) { return i < 8 ? x : y; });
}
NOREGRET_INLINE F16 load(const float* p) {
  return lanes([=](int i) { return p[i]; });
}
NOREGRET_INLINE void store(float* p, const F16& a) {
  for (int i = 0; i < 16; ++i) p[i] = a.v[i];
}
NOREGRET_INLINE F16 fma(const F16& a, const F16& b, const F16& c) {
  return lanes([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
NOREGRET_INLINE void add_product(F16& sum, const F16& a, const F16& b) { sum = fma(a, b, sum); }
NOREGRET_INLINE F16 add(const F16& a, const F16& b) {
  return lanes([&](int i) { return a.v[i] + b.v[i]; });
}
NOREGRET_INLINE F16 sub(const F16& a, const F16& b) {
  return lanes([&](int i) { return a.v[i] - b.v[i]; });
}
NOREGRET_INLINE F16 mul(const F16& a, const F16& b) {
  return lanes([&](int i) { return a.v[i] * b.v[i]; });
}
NOREGRET_INLINE F16 div(const F16& a, const F16& b) {
  return lanes([&](int i) { return a.v[i] / b.v[i]; });
}
NOREGRET_INLINE F16 max(const F16& a, const F16& b) {
  return lanes([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
NOREGRET_INLINE F16 min(const F16& a, const F16& b) {
  return lanes([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
NOREGRET_INLINE F16 round(const F16& a) {
  return lanes([&](int i) { return __builtin_nearbyintf(a.v[i]); });
}
NOREGRET_INLINE float from_bits(unsigned bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}
NOREGRET_INLINE F16 times_pow2(const F16& a, const F16& n) {
  // A NaN has no integer; the instruction's answer for it is 2^31, of which the shift leaves the 127.
  return lanes([&](int i) {
    const unsigned exponent = n.v[i] == n.v[i] ? static_cast<unsigned>(static_cast<int>(n.v[i])) : 0u;
    return a.v[i] * from_bits((exponent + 127u) << 23);
  });
}
NOREGRET_INLINE F16 zero_below(const F16& x, const F16& bound, const F16& a) {
  return lanes([&](int i) { return x.v[i] < bound.v[i] ? 0.0f : a.v[i]; });
}
NOREGRET_INLINE F16 load_low(const unsigned* p) {
  return lanes([=](int i) { return from_bits(p[i] << 16); });
}
NOREGRET_INLINE F16 load_high(const unsigned* p) {
  return lanes([=](int i) { return from_bits(p[i] & 0xffff0000u); });
}
NOREGRET_INLINE float sum_lanes(F16 a) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] += a.v[i + width];
  }
  return a.v[0];
}
NOREGRET_INLINE float max_lanes(F16 a) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] = a.v[i] > a.v[i + width] ? a.v[i] : a.v[i + width];
  }
  return a.v[0];
}

}  // namespace
}  // namespace noregret::kernels
