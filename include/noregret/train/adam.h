#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "noregret/tensor/tensor_file.h"
#include "noregret/train/train_options.h"

namespace noregret {

// Adam with decoupled weight decay (arXiv:1412.6980 algorithm 1; arXiv:1711.05101), state in f32 by parameter name.
// bf16 parameters have an f32 copy that takes the updates and is rounded into them. Parameters without a gradient in a
// step are left as they are, their moments too.
class Adam {
 public:
  // Parameters are f32 or bf16 leaves on one device, shared with their owner. Throws ConfigError on betas that are not
  // two numbers in [0, 1).
  Adam(std::vector<NamedTensor> parameters, const OptimizerOptions& options, double lr);

  void zero_grad();
  double grad_norm() const;  // global 2-norm over f32 gradients; NaN or inf when any gradient is
  // Scales all gradients by max_grad_norm / norm where `norm`, which is grad_norm()'s, is larger; max_grad_norm 0:
  // never.
  void clip_grad_norm(double norm);
  // False when a weight or a moment would not be finite: then none has changed, and the update does not count.
  [[nodiscard]] bool step();

  double lr() const { return lr_; }
  int64_t num_updates() const { return num_updates_; }
  const std::vector<NamedTensor>& parameters() const { return parameters_; }

  // Moments as "<name>.exp_avg", "<name>.exp_avg_sq", the f32 copy of a bf16 parameter as "<name>.master", and the
  // number of updates as "step" [1] int64.
  std::vector<NamedTensor> state() const;
  // Exact names, shapes and dtypes, finite values; throws DataError and changes nothing otherwise.
  void restore(const std::vector<NamedTensor>& state, const std::string& where);

 private:
  std::vector<Tensor> gradients() const;

  std::vector<NamedTensor> parameters_;
  std::vector<Tensor> masters_;  // f32; the parameter itself where it is f32
  std::vector<Tensor> exp_avg_;
  std::vector<Tensor> exp_avg_sq_;
  OptimizerOptions options_;
  double lr_;
  int64_t num_updates_ = 0;
};

}  // namespace noregret
