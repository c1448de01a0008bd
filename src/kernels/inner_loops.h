#pragma once

// The body of inner_portable.cc, inner_avx2.cc and inner_avx512.cc.

#include "kernels/inner.h"
#include "kernels/simd.h"

namespace noregret::kernels {
namespace {

// --- matrix products

// Blocks keep all their sums in registers, and enough of them to hide the latency of an FMA: of many rows kRows by
// kPanels or a row less, of few rows all of them by as many panels as these say.
#if defined(NOREGRET_KERNELS_AVX512)
constexpr int kRows = 8, kPanels = 2;
constexpr int kF32PanelsOfFew[] = {0, 8, 6, 4, 4, 3, 3, 2, 2};
constexpr int kBf16PanelsOfFew[] = {0, 8, 6, 4, 4, 3, 3, 2, 2};
#elif defined(NOREGRET_KERNELS_AVX2)
constexpr int kRows = 6, kPanels = 1;
constexpr int kF32PanelsOfFew[] = {0, 4, 3, 2, 1, 1, 1};
constexpr int kBf16PanelsOfFew[] = {0, 4, 3, 1, 1, 1, 1};
#else
constexpr int kRows = 4, kPanels = 1;
constexpr int kF32PanelsOfFew[] = {0, 1, 1, 1, 1};
constexpr int kBf16PanelsOfFew[] = {0, 1, 1, 1, 1};
#endif

// Where row r of `a` has its element k.
struct RowMajor {
  template <int R>
  struct Rows {
    const float* rows[R];
    NOREGRET_INLINE Rows(const Tile& t, int64_t first) {
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) rows[r] = t.a + (first + r) * t.a_row;
    }
    NOREGRET_INLINE F16 at(int r, int64_t k) const { return set1(rows[r][k]); }
  };
};
struct ColumnMajor {
  template <int R>
  struct Rows {
    const float* base;
    int64_t a_k;
    NOREGRET_INLINE Rows(const Tile& t, int64_t first) : base(t.a + first), a_k(t.a_k) {}
    NOREGRET_INLINE F16 at(int r, int64_t k) const { return set1(base[k * a_k + r]); }
  };
};

// Weights that are used once come from memory too late unless they are asked for ahead: by few rows some lines ahead,
// into the innermost cache; by the first of many rows a panel ahead, into the second, while its own is used from the
// first.
enum class Fetch { kNothing, kNear, kFar };
constexpr int64_t kLinesAhead = 32;

template <Fetch kFetch>
NOREGRET_INLINE void fetch(const void* line, int64_t ahead) {
  if constexpr (kFetch == Fetch::kNear) __builtin_prefetch(static_cast<const char*>(line) + ahead);
  if constexpr (kFetch == Fetch::kFar) __builtin_prefetch(static_cast<const char*>(line) + ahead, 0, 2);
}

NOREGRET_INLINE int64_t bytes_between(const Tile& t, int64_t panel, int64_t other) {
  return static_cast<const char*>(t.b[other]) - static_cast<const char*>(t.b[panel]);
}

template <int R, int P, class Rows>
NOREGRET_INLINE void add_inputs(const Rows& a, int64_t k, int p, F16 w, F16 (&sums)[R][P]) {
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    if constexpr (P == 1) {
      add_product(sums[r][p], a.at(r, k), w);
    } else {
      sums[r][p] = fma(a.at(r, k), w, sums[r][p]);
    }
  }
}

// Lines [from, to) of P panels; `ahead` is in bytes.
struct F32Panels {
  static constexpr const int* kOfFew = kF32PanelsOfFew;
  static NOREGRET_INLINE int64_t num_lines(const Tile& t) { return t.k; }

  template <int R, int P, Fetch kFetch, class Rows>
  static NOREGRET_INLINE void accumulate(const Tile& t, const Rows& a, int64_t first_panel, int64_t from, int64_t to,
                                         int64_t ahead, F16 (&sums)[R][P]) {
    const float* b[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) b[p] = static_cast<const float*>(t.b[first_panel + p]);
    for (int64_t k = from; k < to; ++k) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        // Where several f32 panels are read at once, the processor looks ahead as well as can be.
        if constexpr (P == 1 || kFetch == Fetch::kFar) fetch<kFetch>(b[p] + k * t.b_k, ahead);
        add_inputs(a, k, p, load(b[p] + k * t.b_k), sums);
      }
    }
  }

  template <int R, int P, class Rows>
  static NOREGRET_INLINE void accumulate_rest(const Tile&, const Rows&, int64_t, F16 (&)[R][P]) {}
};
struct Bf16Panels {
  static constexpr const int* kOfFew = kBf16PanelsOfFew;
  static NOREGRET_INLINE int64_t num_lines(const Tile& t) { return t.k / 2; }

  template <int R, int P, Fetch kFetch, class Rows>
  static NOREGRET_INLINE void accumulate(const Tile& t, const Rows& a, int64_t first_panel, int64_t from, int64_t to,
                                         int64_t ahead, F16 (&sums)[R][P]) {
    const unsigned* b[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) b[p] = static_cast<const unsigned*>(t.b[first_panel + p]);
    for (int64_t i = from; i < to; ++i) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        fetch<kFetch>(b[p] + i * 16, ahead);
        add_inputs(a, 2 * i, p, load_low(b[p] + i * 16), sums);
      }
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) add_inputs(a, 2 * i + 1, p, load_high(b[p] + i * 16), sums);
    }
  }

  template <int R, int P, class Rows>
  static NOREGRET_INLINE void accumulate_rest(const Tile& t, const Rows& a, int64_t first_panel, F16 (&sums)[R][P]) {
    if (t.k % 2 == 0) return;
    for (int p = 0; p < P; ++p)
      add_inputs(a, t.k - 1, p, load_low(static_cast<const unsigned*>(t.b[first_panel + p]) + t.k / 2 * 16), sums);
  }
};

template <int R, int P, Fetch kFetch, class A, class B>
__attribute__((noinline)) void multiply_block(const Tile& t, int64_t first_row, int64_t first_panel) {
  const typename A::template Rows<R> a(t, first_row);
  float* c = t.c + first_row * t.c_row + first_panel * 16;
  F16 sums[R][P];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sums[r][p] = t.adds ? load(c + r * t.c_row + p * 16) : set1(0.0f);
  }
  const int64_t num_lines = B::num_lines(t);
  const bool has_next = first_panel + P < t.num_panels;
  int64_t ahead = has_next ? bytes_between(t, first_panel, first_panel + P) : 0;
  int64_t begin = 0;
  if (kFetch == Fetch::kNear && num_lines > kLinesAhead) {  // the last lines ask for the next panels' first
    begin = num_lines - kLinesAhead;
    B::template accumulate<R, P, kFetch>(t, a, first_panel, 0, begin, kLinesAhead * 64, sums);
    ahead -= begin * 64;
  }
  B::template accumulate<R, P, kFetch>(t, a, first_panel, begin, num_lines, ahead, sums);
  B::accumulate_rest(t, a, first_panel, sums);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) store(c + r * t.c_row + p * 16, sums[r][p]);
  }
}

template <class A, class B, int R = kRows>
void multiply_few(const Tile& t) {
  if (t.num_rows == R) {
    constexpr int P = B::kOfFew[R];
    int64_t panel = 0;
    for (; panel + P <= t.num_panels; panel += P) multiply_block<R, P, Fetch::kNear, A, B>(t, 0, panel);
    if constexpr (P > 1) {
      for (; panel < t.num_panels; ++panel) multiply_block<R, 1, Fetch::kNear, A, B>(t, 0, panel);
    }
  } else if constexpr (R > 1) {
    multiply_few<A, B, R - 1>(t);
  }
}

// Blocks of R rows, at least one, and then of R - 1: a panel stays in the innermost cache while the rows pass.
template <class A, class B, int R, int P>
void multiply_panels(const Tile& t, int64_t num_large, int64_t panel) {
  multiply_block<R, P, Fetch::kFar, A, B>(t, 0, panel);
  int64_t row = R;
  for (; row < num_large * R; row += R) multiply_block<R, P, Fetch::kNothing, A, B>(t, row, panel);
  for (; row < t.num_rows; row += R - 1) multiply_block<R - 1, P, Fetch::kNothing, A, B>(t, row, panel);
}

template <class A, class B, int R = kRows>
void multiply_many(const Tile& t, int64_t num_blocks) {
  if (R == (t.num_rows + num_blocks - 1) / num_blocks) {
    const int64_t num_large = t.num_rows - num_blocks * (R - 1);
    int64_t panel = 0;
    for (; panel + kPanels <= t.num_panels; panel += kPanels) multiply_panels<A, B, R, kPanels>(t, num_large, panel);
    if constexpr (kPanels > 1) {
      for (; panel < t.num_panels; ++panel) multiply_panels<A, B, R, 1>(t, num_large, panel);
    }
  } else if constexpr (R > kRows / 2 + 1) {
    multiply_many<A, B, R - 1>(t, num_blocks);
  }
}

template <class A, class B>
void multiply(const Tile& t) {
  t.num_rows <= kRows ? multiply_few<A, B>(t) : multiply_many<A, B>(t, (t.num_rows + kRows - 1) / kRows);
}

void multiply_f32(const Tile& t) {
  t.a_k == 1 ? multiply<RowMajor, F32Panels>(t) : multiply<ColumnMajor, F32Panels>(t);
}
void multiply_bf16(const Tile& t) { multiply<RowMajor, Bf16Panels>(t); }

// --- rows. visit(i, count) for vectors of 16, the last of which may be partly filled.

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

// --- rows of logits

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

constexpr Inner kInner = {
    .multiply_f32 = multiply_f32,
    .multiply_bf16 = multiply_bf16,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .softmax = softmax,
    .dot = dot,
    .row_sum = row_sum,
    .exponentials = exponentials,
    .softmax_gradient = softmax_gradient,
    .arg_max = arg_max,
};

}  // namespace
}  // namespace noregret::kernels
