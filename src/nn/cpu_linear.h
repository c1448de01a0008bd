#pragma once

#include <span>
#include <utility>
#include <vector>

#include "nn/adapter_panels.h"
#include "nn/workspace.h"
#include "noregret/kernels/matrix.h"
#include "noregret/nn/adapter.h"
#include "noregret/nn/linear.h"

namespace noregret {

// Gradients of the tensors that a forward trains, in the order in which they were listed.
class Gradients {
 public:
  explicit Gradients(const std::vector<Tensor>& trained);
  // A tensor of zeros to fill, or null where the tensor is not trained.
  float* of(const Tensor& trained);
  std::vector<Tensor> take() { return std::move(gradients_); }

 private:
  std::vector<Tensor> trained_;
  std::vector<Tensor> gradients_;  // undefined until asked for
};

// A linear layer with its adapters, and where its output (in backward, its output's gradient) lies.
struct LinearSlot {
  const Linear* linear;
  int64_t site;
  float* y;  // [rows, out]
};

// Linear layers that read the same x [rows, in], with the adapters of their sites. `memory` is for what lies between A
// and B.
void forward_linears(const SitePanels& adapters, std::span<const LinearSlot> slots, int64_t num_rows, const float* x,
                     Workspace& memory);
// With y the gradients of the outputs: fills grad_x (unless null) and the gradients of what is trained.
void backward_linears(const AdapterStack& stack, std::span<const LinearSlot> slots, int64_t num_rows, const float* x,
                      float* grad_x, bool keeps_transposed, Gradients& gradients);

// What is trained in a linear layer: the weight, or A and B of adapters.
void list_trained(const Linear& linear, const AdapterStack& stack, int64_t site, std::vector<Tensor>& trained);

}  // namespace noregret
