#pragma once

#include <vector>

#include "noregret/tensor/tensor_file.h"
#include "noregret/train/train_options.h"

namespace noregret {

// Adam with decoupled weight decay (arXiv:1412.6980 algorithm 1; arXiv:1711.05101), state in f32 by parameter name.
// Parameters without a gradient in a step are left as they are, their moments too.
class Adam {
 public:
  Adam(std::vector<NamedTensor> parameters, const OptimizerOptions& options, double lr);

  void zero_grad();
  double grad_norm() const;              // global 2-norm in f32; NaN or inf when any gradient is
  void clip_grad_norm(double max_norm, double norm);
  void step();
  double lr() const { return lr_; }
  const std::vector<NamedTensor>& parameters() const { return parameters_; }

  // Moments as "<name>.exp_avg", "<name>.exp_avg_sq" and the number of updates as "step" [1] int64.
  std::vector<NamedTensor> state() const;
  void restore(const std::vector<NamedTensor>& state, const std::string& where);  // exact names and shapes; throws DataError

 private:
  std::vector<NamedTensor> parameters_;
  std::vector<Tensor> exp_avg_;
  std::vector<Tensor> exp_avg_sq_;
  OptimizerOptions options_;
  double lr_;
  int64_t num_updates_ = 0;
};

}  // namespace noregret
