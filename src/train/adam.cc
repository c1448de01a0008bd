#include "noregret/train/adam.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "noregret/base/check.h"
#include "noregret/base/error.h"

namespace noregret {
namespace {

bool is_f32(const Tensor& tensor) { return tensor.scalar_type() == at::kFloat; }

void check_betas(const std::vector<double>& betas) {
  if (betas.size() == 2 && betas[0] >= 0 && betas[0] < 1 && betas[1] >= 0 && betas[1] < 1) return;
  std::vector<std::string> texts;
  for (const double beta : betas) texts.push_back(shortest(beta));
  throw ConfigError(
      cat("optimizer.betas is [", join(texts, ", "), "], want two numbers in [0, 1); the recipe's are [0.9, 0.95]"));
}

bool are_finite(const std::vector<Tensor>& tensors) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return all_finite(at::stack(at::_foreach_norm(tensors, kInfinity, at::kFloat)));
}

// Times 1 changes no bit, and on a device many tensors go by one kernel.
std::vector<Tensor> copies_of(const std::vector<Tensor>& tensors) { return at::_foreach_mul(tensors, 1.0); }

// The tensor of that name with like shape and dtype. Throws DataError.
const Tensor& find(const std::map<std::string, Tensor>& state, const std::string& name, const Tensor& like,
                   const std::string& where) {
  const auto found = state.find(name);
  if (found == state.end())
    throw DataError(cat(where, ": holds no tensor ", quoted(name), "; the file belongs to another run"));
  const Tensor& value = found->second;
  if (value.sizes() != like.sizes() || value.scalar_type() != like.scalar_type()) {
    throw DataError(cat(where, ": ", name, " is ", c10::toString(value.scalar_type()), " ", shape_text(value.sizes()),
                        ", want ", c10::toString(like.scalar_type()), " ", shape_text(like.sizes()),
                        "; the file belongs to another run"));
  }
  if (!all_finite(value))
    throw DataError(cat(where, ": ", name, " holds NaN or infinity; resume from an earlier checkpoint"));
  return value;
}

}  // namespace

Adam::Adam(std::vector<NamedTensor> parameters, const OptimizerOptions& options, double lr)
    : parameters_(std::move(parameters)), options_(options), lr_(lr) {
  check_betas(options_.betas);
  NOREGRET_CHECK(std::isfinite(lr_) && lr_ > 0, "learning rate ", lr_);
  for (const auto& [name, parameter] : parameters_) {
    NOREGRET_CHECK(is_f32(parameter) || parameter.scalar_type() == at::kBFloat16, name, " is ",
                   c10::toString(parameter.scalar_type()));
    masters_.push_back(is_f32(parameter) ? parameter : parameter.detach().to(at::kFloat));
    exp_avg_.push_back(at::zeros_like(masters_.back().detach()));
    exp_avg_sq_.push_back(at::zeros_like(masters_.back().detach()));
  }
}

void Adam::zero_grad() {
  for (const auto& [name, parameter] : parameters_) parameter.mutable_grad() = Tensor();
}

std::vector<Tensor> Adam::gradients() const {
  std::vector<Tensor> grads;
  for (const auto& [name, parameter] : parameters_) {
    if (parameter.grad().defined()) grads.push_back(parameter.grad());
  }
  return grads;
}

double Adam::grad_norm() const {
  const std::vector<Tensor> grads = gradients();
  if (grads.empty()) return 0.0;
  const at::NoGradGuard no_grad;
  return at::stack(at::_foreach_norm(grads, 2, at::kFloat)).to(at::kDouble).norm().item<double>();
}

void Adam::clip_grad_norm(double norm) {
  const double max_norm = options_.max_grad_norm;
  if (max_norm == 0.0 || !(norm > max_norm)) return;
  const at::NoGradGuard no_grad;
  std::vector<Tensor> grads = gradients();
  at::_foreach_mul_(grads, max_norm / norm);
}

bool Adam::step() {
  const at::NoGradGuard no_grad;
  std::vector<size_t> with_grad;
  std::vector<Tensor> grads, weights, exp_avg, exp_avg_sq;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& grad = parameters_[i].second.grad();
    if (!grad.defined()) continue;
    with_grad.push_back(i);
    grads.push_back(grad.to(at::kFloat).contiguous());
    weights.push_back(masters_[i].detach());
    exp_avg.push_back(exp_avg_[i]);
    exp_avg_sq.push_back(exp_avg_sq_[i]);
  }
  if (with_grad.empty()) return true;
  for (std::vector<Tensor>* state : {&weights, &exp_avg, &exp_avg_sq}) *state = copies_of(*state);
  const Tensor count = at::full({}, static_cast<double>(num_updates_ + 1), weights[0].options());
  const std::vector<Tensor> counts(with_grad.size(), count);
  at::_fused_adamw_(weights, grads, exp_avg, exp_avg_sq, {}, counts, lr_, options_.betas[0], options_.betas[1],
                    options_.weight_decay, options_.eps, /*amsgrad=*/false, /*maximize=*/false);
  std::vector<Tensor> rounded;
  for (size_t k = 0; k < with_grad.size(); ++k)
    rounded.push_back(weights[k].to(parameters_[with_grad[k]].second.scalar_type()));
  // A square can overflow where the gradient does not; the weight would then stand still for good.
  if (!are_finite(rounded) || !are_finite(exp_avg_sq)) return false;
  std::vector<Tensor> trained;
  for (const size_t i : with_grad) trained.push_back(parameters_[i].second);
  at::_foreach_copy_(trained, rounded);
  for (size_t k = 0; k < with_grad.size(); ++k) {
    const size_t i = with_grad[k];
    if (!is_f32(rounded[k])) masters_[i] = weights[k];
    exp_avg_[i] = exp_avg[k];
    exp_avg_sq_[i] = exp_avg_sq[k];
  }
  ++num_updates_;
  return true;
}

std::vector<NamedTensor> Adam::state() const {
  std::vector<NamedTensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].first;
    state.emplace_back(name + ".exp_avg", exp_avg_[i]);
    state.emplace_back(name + ".exp_avg_sq", exp_avg_sq_[i]);
    if (!is_f32(parameters_[i].second)) state.emplace_back(name + ".master", masters_[i]);
  }
  state.emplace_back("step", at::tensor({num_updates_}, at::kLong));
  return state;
}

void Adam::restore(const std::vector<NamedTensor>& values, const std::string& where) {
  const std::map<std::string, Tensor> by_name(values.begin(), values.end());
  const std::vector<NamedTensor> wanted = state();
  std::vector<Tensor> found;
  for (const auto& [name, like] : wanted) found.push_back(find(by_name, name, like, where));
  for (const NamedTensor& value : values) {
    const auto is_it = [&](const NamedTensor& entry) { return entry.first == value.first; };
    if (std::none_of(wanted.begin(), wanted.end(), is_it)) {
      throw DataError(cat(where, ": holds tensor ", quoted(value.first), ", which this run does not have"));
    }
  }
  const auto num_updates = found.back().item<int64_t>();
  if (num_updates < 0) throw DataError(cat(where, ": step is ", num_updates, ", want 0 or more; the file is damaged"));
  size_t next = 0;
  const auto take = [&](const Tensor& like) { return found[next++].to(like.device()).clone(); };
  for (size_t i = 0; i < parameters_.size(); ++i) {
    exp_avg_[i] = take(exp_avg_[i]);
    exp_avg_sq_[i] = take(exp_avg_sq_[i]);
    if (!is_f32(parameters_[i].second)) masters_[i] = take(masters_[i]);
  }
  num_updates_ = num_updates;
}

}  // namespace noregret
