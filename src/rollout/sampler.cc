#include "noregret/rollout/sampler.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <cmath>

#include "noregret/base/check.h"
#include "noregret/base/error.h"

namespace noregret {
namespace {

constexpr int64_t kTile = 256;            // fixed, so that a token does not depend on threads or batch
constexpr int64_t kParallelWork = 65536;  // vocabulary entries below which a second thread costs more than it saves

// The first id whose cumulative probability exceeds uniform * total. `p` sums to about 1, not exactly.
int64_t inverse_cdf(const float* p, int64_t size, float uniform) {
  float total = 0.0f;
  for (int64_t begin = 0; begin < size; begin += kTile) {
    float tile = 0.0f;
    for (int64_t i = begin; i < std::min(begin + kTile, size); ++i) tile += p[i];
    total += tile;
  }
  const float threshold = uniform * total;
  float before = 0.0f;
  int64_t last = 0;
  for (int64_t begin = 0; begin < size; begin += kTile) {
    float tile = 0.0f;
    for (int64_t i = begin; i < std::min(begin + kTile, size); ++i) {
      tile += p[i];
      if (before + tile > threshold) return i;
      if (p[i] > 0.0f) last = i;
    }
    before += tile;
  }
  return last;
}

bool is_finite_row(const float* row, int64_t size) {
  bool is_finite = true;
  for (int64_t i = 0; i < size; ++i) is_finite &= std::isfinite(row[i]);
  return is_finite;
}

}  // namespace

Sampled sample_tokens(const Tensor& logits, double temperature, const std::vector<float>& uniforms) {
  check_rank("sample_tokens: logits", logits, 2);
  check_dtype("sample_tokens: logits", logits, at::kFloat);
  NOREGRET_CHECK(temperature >= 0, "temperature ", temperature);
  NOREGRET_CHECK(static_cast<int64_t>(uniforms.size()) == logits.size(0), uniforms.size(), " uniforms for ",
                 logits.size(0), " rows");
  const at::NoGradGuard no_grad;
  const int64_t num_rows = logits.size(0);
  const int64_t vocab_size = logits.size(1);
  const bool is_greedy = temperature == 0;
  const Tensor logprobs_device = at::log_softmax(is_greedy || temperature == 1 ? logits : logits.div(temperature), 1);
  const Tensor logprobs_BV = logprobs_device.cpu().contiguous();
  const Tensor probs_BV = is_greedy ? logprobs_BV : logprobs_BV.exp();
  const float* logprobs = logprobs_BV.const_data_ptr<float>();
  const float* probs = probs_BV.const_data_ptr<float>();
  Sampled sampled{std::vector<int64_t>(static_cast<size_t>(num_rows)),
                  std::vector<float>(static_cast<size_t>(num_rows))};
  std::vector<char> is_finite(static_cast<size_t>(num_rows));
  at::parallel_for(0, num_rows, std::max<int64_t>(1, kParallelWork / vocab_size), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* row_logprobs = logprobs + row * vocab_size;
      const float* row_probs = probs + row * vocab_size;
      is_finite[row] = is_finite_row(row_logprobs, vocab_size);
      const int64_t id = is_greedy ? std::max_element(row_logprobs, row_logprobs + vocab_size) - row_logprobs
                                   : inverse_cdf(row_probs, vocab_size, uniforms[row]);
      sampled.ids[row] = id;
      sampled.logprobs[row] = row_logprobs[id];
    }
  });
  if (std::find(is_finite.begin(), is_finite.end(), 0) != is_finite.end()) {
    throw NonFiniteError(
        "the model's logits are not finite; the weights or the adapter are damaged, or training diverged (lower "
        "optimizer.lr)");
  }
  return sampled;
}

}  // namespace noregret
