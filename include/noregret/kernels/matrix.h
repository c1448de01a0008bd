#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "noregret/kernels/thread_pool.h"

namespace noregret::kernels {

enum class WeightDtype { kF32, kBf16 };

inline int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// A weight [out, in] as the products read it: panels of 16 outputs, each with its inputs one after the other. f32, or
// bf16 with two inputs of an output in one word. Outputs beyond `out` are zeros.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(PackedMatrix&&) = default;
  PackedMatrix& operator=(PackedMatrix&&) = default;
  PackedMatrix(int64_t out, int64_t in, WeightDtype dtype, int64_t room = 0);  // room: see make_room()
  // f32, for a product of one term that adds to nothing. Of up to eight outputs and an even number of inputs, the lanes
  // that would be zeros hold the second half of the inputs; an output is then the sum of the two halves' chains. Other
  // sizes are as above.
  static PackedMatrix narrow(int64_t out, int64_t in);

  // element (o, i) = scale * w[o * out_stride + i * in_stride]; f32 only
  void pack(const float* w, int64_t out_stride, int64_t in_stride, float scale = 1.0f);
  void pack(const uint16_t* w);                                      // bf16 bits, row-major; bf16 only
  void unpack(int64_t first_row, int64_t num_rows, float* w) const;  // rows [num_rows, in]; exact
  PackedMatrix transposed(ThreadPool& pool) const;

  // Room behind each panel for so many f32 inputs, which products read best right after the panel's own. Where there is
  // less, the matrix moves, with what lies in its room.
  void make_room(int64_t inputs);
  // A f32 matrix [out, in] in that room, `first` inputs behind the panels: of this one's memory, until that moves.
  // Beyond the room is a bug.
  PackedMatrix in_room(int64_t first, int64_t in);

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  WeightDtype dtype() const { return dtype_; }
  int64_t num_panels() const { return (out_ + 15) / 16; }
  bool is_halved() const { return is_halved_; }
  int64_t depth() const { return is_halved_ ? in_ / 2 : in_; }  // inputs that follow each other in a panel
  // Input `k` of a panel; k is even in bf16.
  const void* panel(int64_t panel, int64_t k) const;
  int64_t panel_bytes() const { return panel_bytes_; }                           // from one to the next, room included
  int64_t input_bytes() const { return dtype_ == WeightDtype::kF32 ? 64 : 32; }  // of one input in a panel
  size_t num_bytes() const { return static_cast<size_t>(num_panels() * panel_bytes()); }
  const std::byte* bytes() const { return data_.get(); }

 private:
  PackedMatrix(int64_t out, int64_t in, WeightDtype dtype, int64_t room, bool is_halved);
  int64_t own_panel_bytes() const;  // without room

  std::shared_ptr<std::byte> data_;
  int64_t out_ = 0;
  int64_t in_ = 0;
  WeightDtype dtype_ = WeightDtype::kF32;
  bool is_halved_ = false;
  int64_t panel_bytes_ = 0;
};

// One summand of a product: x [rows, in] times the matrix's transpose.
struct Term {
  const PackedMatrix* matrix;
  const float* x;
  int64_t x_stride;
  bool waits = false;  // x is the result of a product that is made first
};
// y [rows, out] = (adds: y +) the terms in order, each output one chain of FMAs through all of them
// (of a narrow matrix the sum of two).
struct Product {
  float* y;
  int64_t y_stride;
  bool adds;
  std::span<const Term> terms;  // at least one; of one `out`
};
// `first` are made before any term that waits is taken up, with the same call of the threads: a low-rank path's first
// half, which its second goes on from.
void multiply(ThreadPool& pool, int64_t num_rows, std::span<const Product> products,
              std::span<const Product> first = {});

// c [I, J] = a^T b, summed over rows in order.  a [rows, I], b [rows, J]
struct Outer {
  const float* a;
  int64_t a_stride;
  int64_t num_a;  // I
  const float* b;
  int64_t b_stride;
  int64_t num_b;  // J
  float* c;
  int64_t c_stride;
};
void multiply_transposed(ThreadPool& pool, int64_t num_rows, std::span<const Outer> outers);

}  // namespace noregret::kernels
