#pragma once

// F16: 16 lanes of f32. Each instruction set gives the same operations with the same bits; which one is chosen by the
// macros of the file that includes this. Everything here has internal linkage and uses nothing of the standard library,
// so that no function compiled for a wide instruction set can take the place of another's.

#include <immintrin.h>

namespace noregret::kernels {
namespace {

#define NOREGRET_INLINE inline __attribute__((always_inline))

#if defined(NOREGRET_KERNELS_AVX512)

struct F16 {
  __m512 v;
};

NOREGRET_INLINE F16 set1(float x) { return {_mm512_set1_ps(x)}; }
NOREGRET_INLINE F16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
NOREGRET_INLINE void store(float* p, F16 a) { _mm512_storeu_ps(p, a.v); }
NOREGRET_INLINE F16 fma(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
NOREGRET_INLINE void add_product(F16& sum, F16 a, F16 b) { sum = fma(a, b, sum); }
NOREGRET_INLINE F16 add(F16 a, F16 b) { return {_mm512_add_ps(a.v, b.v)}; }
NOREGRET_INLINE F16 sub(F16 a, F16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
NOREGRET_INLINE F16 mul(F16 a, F16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
NOREGRET_INLINE F16 div(F16 a, F16 b) { return {_mm512_div_ps(a.v, b.v)}; }
NOREGRET_INLINE F16 max(F16 a, F16 b) { return {_mm512_max_ps(a.v, b.v)}; }  // a > b ? a : b
NOREGRET_INLINE F16 min(F16 a, F16 b) { return {_mm512_min_ps(a.v, b.v)}; }  // a < b ? a : b
NOREGRET_INLINE F16 round(F16 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
// a * 2^n for whole n in [-126, 127]
NOREGRET_INLINE F16 times_pow2(F16 a, F16 n) {
  const __m512i bits = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23);
  return {_mm512_mul_ps(a.v, _mm512_castsi512_ps(bits))};
}
// x < bound ? 0 : a; x NaN keeps a
NOREGRET_INLINE F16 zero_below(F16 x, F16 bound, F16 a) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, bound.v, _CMP_NLT_UQ), a.v)};
}
// The halves of 16 words, each a bf16.
NOREGRET_INLINE F16 load_low(const unsigned* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16))};
}
NOREGRET_INLINE F16 load_high(const unsigned* p) {
  const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), mask))};
}
NOREGRET_INLINE __m256 halves_sum(F16 a) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1));
  return _mm256_add_ps(_mm512_castps512_ps256(a.v), high);
}
NOREGRET_INLINE __m256 halves_max(F16 a) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1));
  return _mm256_max_ps(_mm512_castps512_ps256(a.v), high);
}

#elif defined(NOREGRET_KERNELS_AVX2)

struct F16 {
  __m256 lo, hi;
};

NOREGRET_INLINE F16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
NOREGRET_INLINE F16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
NOREGRET_INLINE void store(float* p, F16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
NOREGRET_INLINE F16 fma(F16 a, F16 b, F16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
// In place, as products need it that use every register: the compiler may choose another operand as the target, and
// then has one register too few.
NOREGRET_INLINE void add_product(F16& sum, F16 a, F16 b) {
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum.lo) : "x"(a.lo), "x"(b.lo));
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum.hi) : "x"(a.hi), "x"(b.hi));
}
NOREGRET_INLINE F16 add(F16 a, F16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
NOREGRET_INLINE F16 sub(F16 a, F16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
NOREGRET_INLINE F16 mul(F16 a, F16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
NOREGRET_INLINE F16 div(F16 a, F16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
NOREGRET_INLINE F16 max(F16 a, F16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
NOREGRET_INLINE F16 min(F16 a, F16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
NOREGRET_INLINE F16 round(F16 a) {
  return {_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
NOREGRET_INLINE __m256 pow2_half(__m256 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
NOREGRET_INLINE F16 times_pow2(F16 a, F16 n) { return mul(a, {pow2_half(n.lo), pow2_half(n.hi)}); }
NOREGRET_INLINE F16 zero_below(F16 x, F16 bound, F16 a) {
  return {_mm256_and_ps(_mm256_cmp_ps(x.lo, bound.lo, _CMP_NLT_UQ), a.lo),
          _mm256_and_ps(_mm256_cmp_ps(x.hi, bound.hi, _CMP_NLT_UQ), a.hi)};
}
NOREGRET_INLINE F16 load_low(const unsigned* p) {
  const __m256i lo = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i hi = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16))};
}
NOREGRET_INLINE F16 load_high(const unsigned* p) {
  const __m256i lo = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i hi = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8));
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(lo, mask)), _mm256_castsi256_ps(_mm256_and_si256(hi, mask))};
}
NOREGRET_INLINE __m256 halves_sum(F16 a) { return _mm256_add_ps(a.lo, a.hi); }
NOREGRET_INLINE __m256 halves_max(F16 a) { return _mm256_max_ps(a.lo, a.hi); }

#else

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

#endif

// Lanes to one number by the tree 8, 4, 2, 1.
#if defined(NOREGRET_KERNELS_AVX512) || defined(NOREGRET_KERNELS_AVX2)
NOREGRET_INLINE float sum_lanes(F16 a) {
  const __m256 eight = halves_sum(a);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
NOREGRET_INLINE float max_lanes(F16 a) {
  const __m256 eight = halves_max(a);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
#else
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
#endif

NOREGRET_INLINE F16 load_some(const float* p, long count, float fill) {
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = i < count ? p[i] : fill;
  return load(lanes);
}
NOREGRET_INLINE void store_some(float* p, F16 a, long count) {
  float lanes[16];
  store(lanes, a);
  for (int i = 0; i < 16; ++i) {
    if (i < count) p[i] = lanes[i];
  }
}

// e^x, within 1 ulp or so: x = n ln 2 + r, a Taylor polynomial of degree 7 in r (|r| <= 0.35: its rest is below 1e-8),
// 2^n by the exponent's bits. 0 below -87.33, where f32 has no normal number; infinity is not reached below 88.37; NaN
// stays NaN.
NOREGRET_INLINE F16 exp(F16 x) {
  const F16 low = set1(-87.33f);
  const F16 bounded = min(set1(88.37f), max(low, x));  // a NaN is the second operand and stays
  const F16 n = round(mul(bounded, set1(1.44269504f)));
  F16 r = fma(n, set1(-0.693359375f), bounded);  // ln 2 in two parts; n times the first is exact
  r = fma(n, set1(2.12194440e-4f), r);
  F16 p = set1(1.0f / 5040.0f);
  p = fma(p, r, set1(1.0f / 720.0f));
  p = fma(p, r, set1(1.0f / 120.0f));
  p = fma(p, r, set1(1.0f / 24.0f));
  p = fma(p, r, set1(1.0f / 6.0f));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  return zero_below(x, low, times_pow2(p, n));
}

}  // namespace
}  // namespace noregret::kernels
