#include "noregret/tensor/tensor_sums.h"

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "noregret/base/error.h"

namespace noregret {
namespace {

Tensor scalar(double value, at::ScalarType dtype = at::kFloat) { return at::scalar_tensor(value, dtype); }

TEST(TensorSums, ReadAddsUpMeansAndMaximaAsMetricSumsDo) {
  TensorSums first, second;
  first.add("a/mean", scalar(3.0), 2.0);
  first.add_max("a/max", scalar(-4.0));
  second.add("a/mean", scalar(0.5, at::kDouble), 5.0);
  second.add_max("a/max", scalar(-6.0));
  second.add_max("b/count", scalar(7, at::kLong));
  first.merge(second);
  const Metrics metrics = first.read().finish();
  EXPECT_DOUBLE_EQ(metrics.get("a/mean"), 3.5 / 7.0);
  EXPECT_DOUBLE_EQ(metrics.get("a/max"), -4.0);
  EXPECT_DOUBLE_EQ(metrics.get("b/count"), 7.0);
}

TEST(TensorSums, SumsAreExactToF64AndNaNStays) {
  TensorSums sums;
  sums.add("a/mean", scalar(1.0), 1.0);
  sums.add("a/mean", scalar(0x1p-30), 0.0);  // lost in f32
  sums.add_max("a/max", scalar(std::numeric_limits<double>::quiet_NaN()));
  sums.add_max("a/max", scalar(1.0));
  const Metrics metrics = sums.read().finish();
  EXPECT_EQ(metrics.get("a/mean"), 1.0 + 0x1p-30);
  EXPECT_TRUE(std::isnan(metrics.get("a/max")));
}

TEST(TensorSums, HoldNoGraphAndNothingButScalars) {
  TensorSums sums;
  EXPECT_TRUE(sums.read().finish().items().empty());
  sums.add("a/mean", scalar(2.0).requires_grad_(), 1.0);
  EXPECT_DOUBLE_EQ(sums.read().finish().get("a/mean"), 2.0);
  EXPECT_THROW(sums.add("a/mean", at::zeros({1}), 1.0), ShapeError);
}

}  // namespace
}  // namespace noregret
