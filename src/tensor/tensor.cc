#include "noregret/tensor/tensor.h"

#include <ATen/ops/aminmax.h>

#include <cmath>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {

void check_rank(std::string_view what, const Tensor& tensor, int64_t rank) {
  if (tensor.dim() == rank) return;
  throw ShapeError(cat(what, " is ", shape_text(tensor.sizes()), ", want ", rank, " dimensions"));
}

void check_shape(std::string_view what, const Tensor& tensor, std::initializer_list<int64_t> want) {
  bool fits = tensor.dim() == static_cast<int64_t>(want.size());
  for (size_t i = 0; fits && i < want.size(); ++i) {
    fits = want.begin()[i] == -1 || want.begin()[i] == tensor.size(static_cast<int64_t>(i));
  }
  if (!fits) throw ShapeError(cat(what, " is ", shape_text(tensor.sizes()), ", want ", shape_text(want)));
}

void check_dtype(std::string_view what, const Tensor& tensor, at::ScalarType want) {
  if (tensor.scalar_type() == want) return;
  throw ShapeError(cat(what, " is ", c10::toString(tensor.scalar_type()), ", want ", c10::toString(want)));
}

std::string shape_text(at::IntArrayRef sizes) {
  std::string text = "[";
  for (size_t i = 0; i < sizes.size(); ++i) text += cat(i == 0 ? "" : ", ", sizes[i]);
  return text + "]";
}

bool all_finite(const Tensor& tensor) {
  if (tensor.numel() == 0 || !tensor.is_floating_point()) return true;
  // NaN wins in both, so one pass finds it; half-precision infinities stay infinite.
  const auto [low, high] = at::aminmax(tensor.detach());
  return std::isfinite(low.item<double>()) && std::isfinite(high.item<double>());
}

}  // namespace noregret
