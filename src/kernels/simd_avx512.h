#pragma once

// F16 as one register of AVX-512. Included by simd.h alone, which says what the operations are.

#include <immintrin.h>

#include "kernels/simd_inline.h"

namespace noregret::kernels {
namespace {

struct F16 {
  __m512 v;
};

NOREGRET_INLINE F16 set1(float x) { return {_mm512_set1_ps(x)}; }
// x in the first eight lanes, y in the others
NOREGRET_INLINE F16 set2(float x, float y) {
  return {_mm512_mask_broadcastss_ps(_mm512_set1_ps(x), 0xff00, _mm_set_ss(y))};
}
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

}  // namespace
}  // namespace noregret::kernels
