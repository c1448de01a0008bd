#pragma once

// Matrix products on blocks that stay in registers. Part of inner_loops.h.

#include "kernels/inner_panels.h"

namespace noregret::kernels {
namespace {

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
  if (t.then != nullptr) {
    const RowMajor::Rows<R> more(*t.then, first_row);
    F32Lines::accumulate<R, P, Fetch::kNothing>(*t.then, more, first_panel, 0, t.then->k, {}, sums);
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) store(c + r * t.c_row + p * 16, sums[r][p]);
  }
}

// The panels from `panel` on, P or fewer.
template <class A, class B, int R, int P>
void multiply_rest(const Tile& t, int64_t panel) {
  if (t.num_panels - panel == P) {
    multiply_block<R, P, Fetch::kNear, A, B>(t, 0, panel);
  } else if constexpr (P > 1) {
    multiply_rest<A, B, R, P - 1>(t, panel);
  }
}

template <class A, class B, int R = kRows>
void multiply_few(const Tile& t) {
  if (t.num_rows == R) {
    constexpr int P = B::kOfFew[R];
    int64_t panel = 0;
    for (; panel + P <= t.num_panels; panel += P) multiply_block<R, P, Fetch::kNear, A, B>(t, 0, panel);
    if constexpr (P > 1) multiply_rest<A, B, R, P - 1>(t, panel);
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
  if (t.a_half != 0) return multiply<Halves, Panels<F32Lines>>(t);
  t.a_k == 1 ? multiply<RowMajor, Panels<F32Lines>>(t) : multiply<ColumnMajor, Panels<F32Lines>>(t);
}
void multiply_bf16(const Tile& t) { multiply<RowMajor, Panels<Bf16Lines>>(t); }
void multiply_pages(const Tile& t) { multiply<RowMajor, F32Pages>(t); }

}  // namespace
}  // namespace noregret::kernels
