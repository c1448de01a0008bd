#pragma once

// Matrix products on blocks that stay in registers. Part of inner_loops.h: all of it is compiled for each instruction
// set, so it is code in a header and as long as a source file.

#include "kernels/inner.h"
#include "kernels/simd.h"

namespace noregret::kernels {
namespace {

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

}  // namespace
}  // namespace noregret::kernels
