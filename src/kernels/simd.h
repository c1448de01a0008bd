#pragma once

// F16: 16 lanes of f32. Each instruction set gives the same operations with the same bits; which one is chosen by the
// macros of the file that includes this. Everything here has internal linkage and uses nothing of the standard library,
// so that no function compiled for a wide instruction set can take the place of another's.

#if defined(NOREGRET_KERNELS_AVX512)
#include "kernels/simd_avx512.h"
#elif defined(NOREGRET_KERNELS_AVX2)
#include "kernels/simd_avx2.h"
#else
#include "kernels/simd_portable.h"
#endif

namespace noregret::kernels {
namespace {

#if defined(NOREGRET_KERNELS_AVX512) || defined(NOREGRET_KERNELS_AVX2)
// Lanes to one number by the tree 8, 4, 2, 1.
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
