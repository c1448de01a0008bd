#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "noregret/kernels/matrix.h"
#include "noregret/tensor/tensor.h"

namespace noregret {

// A weight matrix [out, in]. On a GPU, and where it is trained, a tensor; frozen on a CPU only the panels that the
// kernels read, in bf16 where the checkpoint is: no second copy.
class Linear {
 public:
  Linear() = default;
  // The tensor is kept, shared with whoever else holds it.
  explicit Linear(Tensor weight);
  // Panels alone. f32 or bf16 on the CPU; f16 is widened.
  static Linear packed(const Tensor& weight);

  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  bool is_packed() const { return !weight_.defined() && panels_ != nullptr; }
  // The weight itself, or a copy in f32 where only panels are kept.
  Tensor weight() const;
  // f32, exact.  ids [N] int64 -> [N, in]
  Tensor rows(const Tensor& ids) const;
  void set_trainable(bool is_trainable);  // from panels to a tensor with requires_grad, and back to frozen

  // The tensor becomes `weight`, which holds the same values elsewhere: a view of a larger matrix.
  void move_to(const Tensor& weight);

  // What the kernels read; packed anew when the tensor has changed since. CPU only.
  const kernels::PackedMatrix& panels() const;
  // A matrix [out, in] behind the panels, where products read on: an adapter's second half. `content` is for whoever
  // packs it, to know what is in it.
  struct Behind {
    kernels::PackedMatrix matrix;
    uint64_t content = 0;  // 0 = nothing
  };
  // The `index`-th of those, each right after the one before. One with another `in` takes its place and that of all
  // after it. The panels move where it needs more room than they have. To leave one out is a bug.
  Behind& behind(size_t index, int64_t in) const;
  // For the backward pass, kept: for a weight that several backward passes of a step use.
  const kernels::PackedMatrix& transposed_panels(kernels::ThreadPool& pool) const;

 private:
  Tensor weight_;
  int64_t out_ = 0;
  int64_t in_ = 0;
  struct Panels {
    kernels::PackedMatrix weight;
    std::deque<Behind> behind;  // their addresses stay
  };
  static std::shared_ptr<Panels> pack(const Tensor& weight);

  mutable std::shared_ptr<Panels> panels_;
  mutable std::shared_ptr<const kernels::PackedMatrix> transposed_;  // of panels_
  mutable int64_t packed_version_ = -1;                              // of weight_
};

}  // namespace noregret
