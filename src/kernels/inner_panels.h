#pragma once

// What a block of sums reads: its rows' inputs, and panels or pages of weights, asked for ahead. Part of inner_loops.h:
// all of it is compiled for each instruction set, so it is code in a header and as long as a source file.

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
// Of the lower eight lanes element k, of the upper eight element half + k.
struct Halves {
  template <int R>
  struct Rows {
    RowMajor::Rows<R> rows;
    int64_t half;
    NOREGRET_INLINE Rows(const Tile& t, int64_t first) : rows(t, first), half(t.a_half) {}
    NOREGRET_INLINE F16 at(int r, int64_t k) const { return set2(rows.rows[r][k], rows.rows[r][half + k]); }
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
  // Where more than kPanels of f32 are read at once, the processor looks ahead as well as can be.
  static constexpr bool looks_ahead(int num_panels) { return num_panels <= kPanels; }

  template <int R, int P, Fetch kFetch, class Rows>
  static NOREGRET_INLINE void accumulate(const Tile& t, const Rows& a, int64_t first_panel, int64_t from, int64_t to,
                                         const Ahead& ahead, F16 (&sums)[R][P]) {
    const float* b[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) b[p] = static_cast<const float*>(t.b[first_panel + p]);
    for (int64_t k = from; k < to; ++k) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        if constexpr (looks_ahead(P) || kFetch != Fetch::kNear) fetch<kFetch>(b[p], ahead, k);
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
  static constexpr bool looks_ahead(int) { return true; }

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

// A product with panels of lines. With Fetch::kFar a block asks for `part` of `num_parts` of the next panel.
template <class Lines>
struct Panels {
  static constexpr const int* kOfFew = Lines::kOfFew;
  // Blocks of rows that ask for the next panel, each for a part of it.
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
    } else if (kFetch == Fetch::kNear && Lines::looks_ahead(P) &&
               num_lines > kLinesAhead) {  // the last lines ask for the next panels' first
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

}  // namespace
}  // namespace noregret::kernels
