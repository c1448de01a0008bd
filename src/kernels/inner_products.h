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
constexpr int kPagesOfFew[] = {0, 2, 2, 2, 2, 2, 2, 2, 2};
constexpr int kF32PanelsOfFew[] = {0, 8, 6, 4, 4, 3, 3, 2, 2};
constexpr int kBf16PanelsOfFew[] = {0, 8, 6, 4, 4, 3, 3, 2, 2};
#elif defined(NOREGRET_KERNELS_AVX2)
constexpr int kRows = 6, kPanels = 1;
constexpr int kPagesOfFew[] = {0, 2, 2, 2, 1, 1, 1};
constexpr int kF32PanelsOfFew[] = {0, 4, 3, 2, 1, 1, 1};
constexpr int kBf16PanelsOfFew[] = {0, 4, 3, 1, 1, 1, 1};
#else
constexpr int kRows = 4, kPanels = 1;
constexpr int kPagesOfFew[] = {0, 1, 1, 1, 1};
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
// into the innermost cache; by many rows a panel ahead, into the second, the first blocks of them a part each, so that
// none waits for more than comes meanwhile.
enum class Fetch { kNothing, kNear, kFar };
constexpr int64_t kLinesAhead = 32;
constexpr int64_t kFarParts = 6;  // of panels without gaps; else the first block asks for all

// What to ask for at line i of a panel: i steps and `bytes` from the panel's begin.
struct Ahead {
  int64_t bytes;
  int64_t step;
};
template <Fetch kFetch>
NOREGRET_INLINE void fetch(const void* panel, const Ahead& ahead, int64_t i) {
  const char* line = static_cast<const char*>(panel) + ahead.bytes + i * ahead.step;
  if constexpr (kFetch == Fetch::kNear) __builtin_prefetch(line);
  if constexpr (kFetch == Fetch::kFar) __builtin_prefetch(line, 0, 2);
}

// From a panel to the one that is read `count` later.
NOREGRET_INLINE int64_t bytes_between(const Tile& t, int64_t panel, int64_t count) {
  const void* next = panel + count < t.num_panels ? t.b[panel + count] : t.next;
  return next == nullptr ? 0 : static_cast<const char*>(next) - static_cast<const char*>(t.b[panel]);
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

// Lines [from, to) of P panels.
struct F32Lines {
  static constexpr const int* kOfFew = kF32PanelsOfFew;
  static NOREGRET_INLINE int64_t num_lines(const Tile& t) { return t.k; }
  static NOREGRET_INLINE int64_t line_bytes(const Tile& t) { return t.b_k * 4; }

  template <int R, int P, Fetch kFetch, class Rows>
  static NOREGRET_INLINE void accumulate(const Tile& t, const Rows& a, int64_t first_panel, int64_t from, int64_t to,
                                         const Ahead& ahead, F16 (&sums)[R][P]) {
    const float* b[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) b[p] = static_cast<const float*>(t.b[first_panel + p]);
    for (int64_t k = from; k < to; ++k) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        // Where several f32 panels are read at once, the processor looks ahead as well as can be.
        if constexpr (P == 1 || kFetch != Fetch::kNear) fetch<kFetch>(b[p], ahead, k);
        add_inputs(a, k, p, load(b[p] + k * t.b_k), sums);
      }
    }
  }

  template <int R, int P, class Rows>
  static NOREGRET_INLINE void accumulate_rest(const Tile&, const Rows&, int64_t, F16 (&)[R][P]) {}
};
struct Bf16Lines {
  static constexpr const int* kOfFew = kBf16PanelsOfFew;
  static NOREGRET_INLINE int64_t num_lines(const Tile& t) { return t.k / 2; }
  static NOREGRET_INLINE int64_t line_bytes(const Tile&) { return 64; }

  template <int R, int P, Fetch kFetch, class Rows>
  static NOREGRET_INLINE void accumulate(const Tile& t, const Rows& a, int64_t first_panel, int64_t from, int64_t to,
                                         const Ahead& ahead, F16 (&sums)[R][P]) {
    const unsigned* b[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) b[p] = static_cast<const unsigned*>(t.b[first_panel + p]);
    for (int64_t i = from; i < to; ++i) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        fetch<kFetch>(b[p], ahead, i);
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

// What a block adds up, its number `part` of the `num_parts` that the rows make: a product with panels of lines.
template <class Lines>
struct Panels {
  static constexpr const int* kOfFew = Lines::kOfFew;
  static int64_t far_parts(const Tile& t) {
    if (Lines::num_lines(t) <= kLinesAhead) return 0;  // too short to be worth it
    return Lines::line_bytes(t) == 64 ? kFarParts : 1;
  }

  template <int R, int P, Fetch kFetch, class Rows>
  static NOREGRET_INLINE void accumulate(const Tile& t, const Rows& a, int64_t first_panel, int64_t part,
                                         int64_t num_parts, F16 (&sums)[R][P]) {
    const int64_t num_lines = Lines::num_lines(t);
    const int64_t line = Lines::line_bytes(t);
    Ahead ahead = {bytes_between(t, first_panel, P), line};
    int64_t begin = 0;
    if constexpr (kFetch == Fetch::kFar) {
      ahead.bytes += num_lines * part / num_parts * line;
      ahead.step = (line + num_parts - 1) / num_parts;
    } else if (kFetch == Fetch::kNear && num_lines > kLinesAhead) {  // the last lines ask for the next panels' first
      begin = num_lines - kLinesAhead;
      Lines::template accumulate<R, P, kFetch>(t, a, first_panel, 0, begin, {kLinesAhead * line, line}, sums);
      ahead.bytes -= begin * line;
    }
    Lines::template accumulate<R, P, kFetch>(t, a, first_panel, begin, num_lines, ahead, sums);
    Lines::accumulate_rest(t, a, first_panel, sums);
  }
};

// A product with pages of 16 lines, which lie anywhere.
struct F32Pages {
  static constexpr const int* kOfFew = kPagesOfFew;
  static int64_t far_parts(const Tile&) { return 1; }
  static constexpr int64_t kPagesAhead = 4;

  template <int R, int P, Fetch kFetch, class Rows>
  static NOREGRET_INLINE void accumulate(const Tile& t, const Rows& a, int64_t first_panel, int64_t, int64_t,
                                         F16 (&sums)[R][P]) {
    const int64_t num_pages = (t.k + 15) / 16;
    for (int64_t page = 0; page < num_pages; ++page) {
      const float* b = static_cast<const float*>(t.b[page]) + first_panel * 16;
      const float* later =
          static_cast<const float*>(t.b[page + kPagesAhead < num_pages ? page + kPagesAhead : page]) + first_panel * 16;
      const int64_t k = page * 16;
      const int64_t count = t.k - k < 16 ? t.k - k : 16;
      for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
          if constexpr (kFetch != Fetch::kNothing) __builtin_prefetch(later + i * t.b_k + p * 16);
          add_inputs(a, k + i, p, load(b + i * t.b_k + p * 16), sums);
        }
      }
    }
  }
};

template <int R, int P, Fetch kFetch, class A, class B>
__attribute__((noinline)) void multiply_block(const Tile& t, int64_t first_row, int64_t first_panel, int64_t part = 0,
                                              int64_t num_parts = 1) {
  const typename A::template Rows<R> a(t, first_row);
  float* c = t.c + first_row * t.c_row + first_panel * 16;
  F16 sums[R][P];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sums[r][p] = t.adds ? load(c + r * t.c_row + p * 16) : set1(0.0f);
  }
  B::template accumulate<R, P, kFetch>(t, a, first_panel, part, num_parts, sums);
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
void multiply_panels(const Tile& t, int64_t num_large, int64_t num_blocks, int64_t panel) {
  int64_t row = 0;
  const int64_t num_parts = num_blocks < B::far_parts(t) ? num_blocks : B::far_parts(t);
  for (int64_t i = 0; i < num_large; ++i, row += R) {
    i < num_parts ? multiply_block<R, P, Fetch::kFar, A, B>(t, row, panel, i, num_parts)
                  : multiply_block<R, P, Fetch::kNothing, A, B>(t, row, panel);
  }
  for (int64_t i = num_large; i < num_blocks; ++i, row += R - 1) {
    i < num_parts ? multiply_block<R - 1, P, Fetch::kFar, A, B>(t, row, panel, i, num_parts)
                  : multiply_block<R - 1, P, Fetch::kNothing, A, B>(t, row, panel);
  }
}

template <class A, class B, int R = kRows>
void multiply_many(const Tile& t, int64_t num_blocks) {
  if (R == (t.num_rows + num_blocks - 1) / num_blocks) {
    const int64_t num_large = t.num_rows - num_blocks * (R - 1);
    int64_t panel = 0;
    for (; panel + kPanels <= t.num_panels; panel += kPanels)
      multiply_panels<A, B, R, kPanels>(t, num_large, num_blocks, panel);
    if constexpr (kPanels > 1) {
      for (; panel < t.num_panels; ++panel) multiply_panels<A, B, R, 1>(t, num_large, num_blocks, panel);
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
  t.a_k == 1 ? multiply<RowMajor, Panels<F32Lines>>(t) : multiply<ColumnMajor, Panels<F32Lines>>(t);
}
void multiply_bf16(const Tile& t) { multiply<RowMajor, Panels<Bf16Lines>>(t); }
void multiply_pages(const Tile& t) { multiply<RowMajor, F32Pages>(t); }

}  // namespace
}  // namespace noregret::kernels
