#include "noregret/rollout/sampler.h"

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/nn/ops.h"

namespace noregret {

void throw_not_finite() {
  throw NonFiniteError(
      "the model's logits are not finite; the weights or the adapter are damaged, or training diverged (lower "
      "optimizer.lr)");
}

Sampled sample_tokens(const Tensor& logits, double temperature, const std::vector<float>& uniforms) {
  check_rank("sample_tokens: logits", logits, 2);
  check_dtype("sample_tokens: logits", logits, at::kFloat);
  NOREGRET_CHECK(temperature >= 0, "temperature ", temperature);
  NOREGRET_CHECK(static_cast<int64_t>(uniforms.size()) == logits.size(0), uniforms.size(), " uniforms for ",
                 logits.size(0), " rows");
  Sampled sampled{std::vector<int64_t>(uniforms.size()), std::vector<float>(uniforms.size())};
  if (!ops::sample(logits.detach(), temperature, uniforms.data(), sampled.ids.data(), sampled.logprobs.data())) {
    throw_not_finite();
  }
  return sampled;
}

}  // namespace noregret
