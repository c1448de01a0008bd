#include "bench/library_gemm.h"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <memory>
#include <optional>

namespace noregret::bench {
namespace {

using at::Tensor;

// An operator that has no C++ function of its own; null where this LibTorch was built without it.
template <class Signature>
std::optional<c10::TypedOperatorHandle<Signature>> find_operator(const char* name) {
  const auto handle = c10::Dispatcher::singleton().findSchema({name, ""});
  if (!handle) return std::nullopt;
  return handle->typed<Signature>();
}

}  // namespace

LibraryGemm::LibraryGemm(const std::vector<float>& weight, int64_t out, int64_t in, int64_t num_copies,
                         int64_t num_rows, int num_threads) {
  at::set_num_threads(num_threads);
  const at::NoGradGuard no_grad;
  const Tensor original = at::from_blob(const_cast<float*>(weight.data()), {out, in}).clone();
  const Tensor x = at::randn({num_rows, in});
  const Tensor y = at::empty({num_rows, out});
  const auto copies = [&](const std::function<Tensor()>& make) {
    auto all = std::make_shared<std::vector<Tensor>>();
    for (int64_t i = 0; i < num_copies; ++i) all->push_back(make());
    return all;
  };

  const auto plain = copies([&] { return original.clone(); });
  ways_.push_back({"mm", [=](int64_t copy) {
                     const at::NoGradGuard guard;
                     Tensor result = y;
                     at::mm_out(result, x, (*plain)[copy].t());
                   }});

  using Pack = Tensor(const Tensor&, int64_t);
  using MklLinear = Tensor(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&, int64_t);
  const auto pack = find_operator<Pack>("mkl::_mkl_reorder_linear_weight");
  const auto mkl_linear = find_operator<MklLinear>("mkl::_mkl_linear");
  if (pack && mkl_linear) {
    const auto packed = copies([&] { return pack->call(original, num_rows); });
    ways_.push_back({"MKL packed", [=, op = *mkl_linear](int64_t copy) {
                       const at::NoGradGuard guard;
                       op.call(x, (*packed)[copy], original, std::nullopt, num_rows);
                     }});
  }

  using Reorder = Tensor(const Tensor&, std::optional<c10::SymInt>);
  using Pointwise = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, c10::string_view,
                           c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);
  const auto reorder = find_operator<Reorder>("mkldnn::_reorder_linear_weight");
  const auto pointwise = find_operator<Pointwise>("mkldnn::_linear_pointwise");
  if (reorder && pointwise) {
    const auto reordered = copies([&] { return reorder->call(original, c10::SymInt(num_rows)); });
    ways_.push_back({"oneDNN", [=, op = *pointwise](int64_t copy) {
                       const at::NoGradGuard guard;
                       op.call(x, (*reordered)[copy], std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
                     }});
  }
}

}  // namespace noregret::bench
