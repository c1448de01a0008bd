#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace noregret {

using at::Tensor;

// Each throws ShapeError "<what> is [2, 3], want [4, 3]". A want of -1 fits any size.
void check_rank(std::string_view what, const Tensor& tensor, int64_t rank);
void check_shape(std::string_view what, const Tensor& tensor, std::initializer_list<int64_t> want);
void check_dtype(std::string_view what, const Tensor& tensor, at::ScalarType want);

std::string shape_text(at::IntArrayRef sizes);  // "[2, 3]"
bool all_finite(const Tensor& tensor);

}  // namespace noregret
