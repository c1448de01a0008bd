#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "noregret/kernels/cuda.h"
#include "noregret/nn/adapter.h"
#include "noregret/nn/linear.h"

namespace noregret {

kernels::cuda::Bf16* bf16_data(const Tensor& tensor);

// An empty bf16 [rows, size] whose rows begin at multiples of 128 bytes, as long reads like them.
Tensor aligned_rows(int64_t num_rows, int64_t size, const at::TensorOptions& options);

constexpr int64_t kMaxShrinkRows = 512;  // up to which our kernels are faster than the library at x A^T

// SHA-256 over the scalings and a checksum of the tensors' bits: the sum of word i times 2 i + 1, modulo 2^64. No two
// adapters that differ in one number have the same; one copy from the device instead of all.
std::string fingerprint(const Adapter& adapter);

// Gradients of the tensors that a forward trains, in the order in which they were listed.
class CudaGradients {
 public:
  explicit CudaGradients(std::vector<Tensor> trained) : trained_(std::move(trained)), gradients_(trained_.size()) {}
  bool wants(const Tensor& trained) const;
  void set(const Tensor& trained, Tensor gradient);
  std::vector<Tensor> take() { return std::move(gradients_); }

 private:
  std::vector<Tensor> trained_;
  std::vector<Tensor> gradients_;
};

// Linear layers that read the same x, as one bf16 matrix of [sum of outs, in + tail]: their weights, then columns
// scaling * B of each adapter at each layer, zero where a layer has none. Below them lies A, [tail, in]. The layers
// with their adapters are y = [x | x A^T] [W | B]^T: one product, in whose f32 sums the low-rank path is added. Or one
// product gives x [W ; A]^T, to which what reads it adds the rest (kernels::cuda::LowRankSum). The tail is padded with
// zeros to a multiple of 8.
class FusedLinear {
 public:
  // Takes the parts' weights over: they become views of the matrix. Sites are consecutive.
  FusedLinear(std::vector<Linear*> parts, int64_t first_site);

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  int64_t tail() const { return tail_; }
  int64_t extended() const { return in_ + tail_; }  // the length of a row [x | x A^T]

  // Makes the columns those of the stack as its tensors are now: little where they are. Returns true when the matrix
  // has moved.
  bool attach(const AdapterStack& stack);

  Tensor weight() const;                         // [W | B]: [out, in + tail]
  Tensor a() const;                              // [tail, in], a view
  Tensor b() const;                              // [out, tail]
  Tensor extended_rows(int64_t num_rows) const;  // an empty [rows, in + tail]

  void shrink(const Tensor& x, bool is_exact) const;  // x[:, in:] = x[:, :in] A^T
  // x [rows, in + tail] -> [rows, out]. An exact product has the same bits for a row in whatever batch.
  Tensor multiply(const Tensor& x, bool is_exact) const;
  Tensor multiply_with_a(const Tensor& x, bool is_exact) const;  // x [W ; A]^T: [rows, in] -> [rows, out + tail]
  Tensor logits(const Tensor& x, bool is_exact) const;           // as multiply(), f32
  // Of gate and up: silu(gate) up, [rows, out / 2]. For at most kMaxSkinnyRows rows, and not exact.
  Tensor multiply_swiglu(const Tensor& x) const;

  // grad [rows, out + tail]: that of y, and room for that of z = x A^T, which is put there; x [rows, in] and z [rows,
  // tail] as in the forward. Returns the gradient of x, undefined where it is not wanted.
  Tensor backpropagate(const Tensor& grad, const Tensor& x, const Tensor& z, bool needs_input,
                       CudaGradients& gradients) const;
  void list_trained(const AdapterStack& stack, std::vector<Tensor>& trained) const;

 private:
  enum class Kind { kMultiply, kWithA, kLogits };
  Tensor product(Kind kind, const Tensor& x) const;
  Tensor exact_product(Kind kind, const Tensor& x) const;
  const std::vector<int64_t>& invariant_sizes(Kind kind) const;

  struct Columns {  // of one adapter at one part
    size_t part;
    int64_t begin, rank;
    double scaling;
    Tensor a, b;
    int64_t a_version = -1, b_version = -1;
  };
  std::vector<Columns> columns_of(const AdapterStack& stack) const;
  bool is_attached(const AdapterStack& stack) const;
  Tensor with_a() const;  // [W ; A]: [out + tail, in]
  void grow(int64_t tail);
  void write();

  std::vector<Linear*> parts_;
  std::vector<int64_t> first_out_;  // of each part
  int64_t first_site_;
  int64_t in_ = 0, out_ = 0, tail_ = 0, capacity_ = 0;
  Tensor matrix_;  // [W | B ; A | 0]: [out + capacity, in + capacity]
  Tensor b_;       // B again, row by row, in the first elements
  std::vector<Columns> columns_;
  mutable std::array<std::vector<int64_t>, 3> invariant_sizes_;  // by kind; empty until asked for
};

}  // namespace noregret
