#include "noregret/rollout/canary.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include "noregret/base/check.h"

namespace noregret {
namespace {

Tensor next_logits(const CausalLm& model, const AdapterStack& policy, const std::vector<int64_t>& ids) {
  const auto length = static_cast<int64_t>(ids.size());
  KvCache cache = model.make_cache(1, length);
  TokenBatch batch;
  batch.ids = at::tensor(ids, at::kLong).to(model.device());
  batch.positions = at::arange(length, at::TensorOptions(at::kLong).device(model.device()));
  batch.segments = {Segment{0, length, -1, 0}};
  return model.logits(model.forward(batch, policy, &cache, batch.positions.narrow(0, length - 1, 1)), policy);
}

}  // namespace

bool sampler_follows(const CausalLm& model, const AdapterStack& policy, Adapter& adapter,
                     const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_grad;
  const std::vector<NamedTensor> tensors = adapter.parameters();
  NOREGRET_CHECK(!tensors.empty() && !ids.empty());
  const Tensor before = next_logits(model, policy, ids);
  const Tensor b = tensors.back().second;
  const Tensor kept = b.clone();
  b.add_(0.01);
  const Tensor changed = next_logits(model, policy, ids);
  b.copy_(kept);
  return !at::equal(before, changed) && at::equal(before, next_logits(model, policy, ids));
}

}  // namespace noregret
