#pragma once

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "noregret/base/rng.h"
#include "noregret/objective/policy_loss.h"

namespace noregret {

inline Tensor f64(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }
inline Tensor f32(const std::vector<double>& values) { return f64(values).to(at::kFloat); }

inline std::vector<double> values_of(const Tensor& tensor) {
  const Tensor wide = tensor.detach().to(at::kDouble).contiguous().flatten();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

// n values in [low, high), a pure function of the seed.
inline std::vector<double> random_values(int64_t n, double low, double high, uint64_t seed) {
  std::vector<double> values;
  Rng rng(seed);
  for (int64_t i = 0; i < n; ++i) values.push_back(rng.uniform(static_cast<float>(low), static_cast<float>(high)));
  return values;
}

inline void expect_near(const Tensor& tensor, const std::vector<double>& want, double tolerance) {
  const std::vector<double> got = values_of(tensor);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance) << "element " << i;
}

// what() of the error that `action` throws, or "" and a failure.
template <class ErrorType, class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const ErrorType& e) {
    return e.what();
  }
  ADD_FAILURE() << "no such error";
  return "";
}

}  // namespace noregret
