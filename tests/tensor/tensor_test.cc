#include "noregret/tensor/tensor.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "noregret/base/error.h"

namespace noregret {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string shape_error(const std::function<void()>& check) {
  try {
    check();
  } catch (const ShapeError& e) {
    return e.what();
  }
  return "";
}

TEST(ShapeChecks, NameTheTensorAndBothShapes) {
  EXPECT_EQ(shape_error([] { check_shape("q", at::zeros({2, 3}), {4, 3}); }), "q is [2, 3], want [4, 3]");
}

TEST(ShapeChecks, MinusOneFitsAnySize) {
  EXPECT_EQ(shape_error([] { check_shape("q", at::zeros({2, 3}), {-1, 3}); }), "");
}

TEST(ShapeChecks, AnotherRankFails) {
  EXPECT_EQ(shape_error([] { check_shape("q", at::zeros({2}), {2, 1}); }), "q is [2], want [2, 1]");
  EXPECT_EQ(shape_error([] { check_rank("q", at::zeros({2}), 2); }), "q is [2], want 2 dimensions");
}

TEST(ShapeChecks, AnotherDtypeFails) {
  EXPECT_EQ(shape_error([] { check_dtype("q", at::zeros({2}), at::kLong); }), "q is Float, want Long");
}

TEST(AllFinite, FindsNaN) {
  at::Tensor x = at::zeros({3, 5});
  EXPECT_TRUE(all_finite(x));
  x[2][4] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(all_finite(x));
}

TEST(AllFinite, FindsInfinityOfEitherSign) {
  EXPECT_FALSE(all_finite(at::full({2}, kInfinity)));
  EXPECT_FALSE(all_finite(at::full({2}, -kInfinity, at::kBFloat16)));
}

TEST(AllFinite, HoldsForNothingAndForIntegers) {
  EXPECT_TRUE(all_finite(at::zeros({0})));
  EXPECT_TRUE(all_finite(at::zeros({2}, at::kLong)));
}

}  // namespace
}  // namespace noregret
