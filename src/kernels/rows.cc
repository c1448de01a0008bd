#include "noregret/kernels/rows.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/inner.h"

namespace noregret::kernels {
namespace {

constexpr int64_t kSerialElements = 1 << 13;  // that one thread has done before another has started
constexpr int64_t kTasksPerThread = 4;        // of more than that, so that none waits long for another

// Calls visit(row) for all rows, blocks of them a task.
template <class Visit>
void for_rows(ThreadPool& pool, int64_t num_rows, int64_t size, const Visit& visit) {
  const auto at_least_1 = [](int64_t n) { return std::max<int64_t>(1, n); };
  int64_t block = at_least_1(kSerialElements / at_least_1(size));
  if (block < num_rows) block = std::min(block, at_least_1(num_rows / (kTasksPerThread * pool.num_threads())));
  pool.run((num_rows + block - 1) / block, [&](int64_t task) {
    const int64_t end = std::min(num_rows, (task + 1) * block);
    for (int64_t row = task * block; row < end; ++row) visit(row);
  });
}

// ln x of a positive normal number, in f64 and without the C library, whose answer may differ between machines:
// x = m 2^e with m in [1/sqrt 2, sqrt 2), ln m = 2 (s + s^3/3 + s^5/5 + ...), s = (m - 1) / (m + 1), |s| < 0.172.
// NaN stays NaN.
double log_of(float x) {
  if (std::isnan(x)) return x;
  const uint64_t bits = std::bit_cast<uint64_t>(static_cast<double>(x));
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double square = s * s;
  double series = 0.0;
  for (int k = 21; k >= 1; k -= 2) series = series * square + 1.0 / k;
  return 2.0 * s * series + static_cast<double>(exponent) * 0.6931471805599453;
}

float scaled(float logit, float temperature) { return temperature == 1.0f ? logit : logit / temperature; }

float logprob_of(float logit, float temperature, const RowSum& row) {
  return static_cast<float>(static_cast<double>(scaled(logit, temperature)) - static_cast<double>(row.max) -
                            log_of(row.sum));
}

}  // namespace

void rms_norm(ThreadPool& pool, int64_t num_rows, int64_t size, const float* x, const float* weight, float eps,
              float* y, float* inverse) {
  for_rows(pool, num_rows, size, [&](int64_t row) {
    const float r = inner().rms_norm(x + row * size, weight, y + row * size, size, eps);
    if (inverse != nullptr) inverse[row] = r;
  });
}

void rms_norm_backward(ThreadPool& pool, int64_t num_rows, int64_t size, const float* x, const float* weight,
                       const float* inverse, const float* grad_y, float* grad_x) {
  for_rows(pool, num_rows, size, [&](int64_t row) {
    inner().rms_norm_backward(x + row * size, weight, inverse[row], grad_y + row * size, grad_x + row * size, size);
  });
}

void rms_norm_weight_gradient(int64_t num_rows, int64_t size, const float* x, const float* inverse, const float* grad_y,
                              float* grad_weight) {
  for (int64_t row = 0; row < num_rows; ++row) {
    for (int64_t i = 0; i < size; ++i) grad_weight[i] += grad_y[row * size + i] * (x[row * size + i] * inverse[row]);
  }
}

void swiglu(ThreadPool& pool, int64_t num_rows, int64_t size, const float* gate, const float* up, float* y) {
  for_rows(pool, num_rows, size,
           [&](int64_t row) { inner().swiglu(gate + row * size, up + row * size, y + row * size, size); });
}

void swiglu_backward(ThreadPool& pool, int64_t num_rows, int64_t size, float* gate, float* up, const float* grad_y) {
  for_rows(pool, num_rows, size, [&](int64_t row) {
    inner().swiglu_backward(gate + row * size, up + row * size, grad_y + row * size, size);
  });
}

void rotary(ThreadPool& pool, int64_t num_rows, int64_t num_heads, int64_t head_dim, float* x, const float* table,
            const int64_t* positions, bool back) {
  const int64_t half = head_dim / 2;
  for_rows(pool, num_rows, num_heads * head_dim, [&](int64_t row) {
    const float* angles = table + positions[row] * head_dim;
    for (int64_t head = 0; head < num_heads; ++head) {
      float* a = x + (row * num_heads + head) * head_dim;
      float* b = a + half;
      for (int64_t i = 0; i < half; ++i) {
        const float cosine = angles[2 * i];
        const float sine = back ? -angles[2 * i + 1] : angles[2 * i + 1];
        const float real = a[i] * cosine - b[i] * sine;
        const float imaginary = a[i] * sine + b[i] * cosine;
        a[i] = real;
        b[i] = imaginary;
      }
    }
  });
}

void add(ThreadPool& pool, int64_t size, const float* x, float* y) {
  constexpr int64_t kBlock = kSerialElements;
  pool.run((size + kBlock - 1) / kBlock, [&](int64_t task) {
    const int64_t end = std::min(size, (task + 1) * kBlock);
    for (int64_t i = task * kBlock; i < end; ++i) y[i] += x[i];
  });
}

void token_scores(ThreadPool& pool, int64_t num_rows, int64_t vocab_size, const float* logits, const int64_t* targets,
                  float temperature, float* logprobs, float* entropy) {
  for_rows(pool, num_rows, vocab_size, [&](int64_t row) {
    const float* z = logits + row * vocab_size;
    const RowSum sum = inner().row_sum(z, vocab_size, temperature);
    logprobs[row] = logprob_of(z[targets[row]], temperature, sum);
    entropy[row] =
        static_cast<float>(log_of(sum.sum) - static_cast<double>(sum.weighted) / static_cast<double>(sum.sum));
  });
}

void token_gradients(ThreadPool& pool, int64_t num_rows, int64_t vocab_size, float* logits, const int64_t* targets,
                     float temperature, const float* coefficients) {
  for_rows(pool, num_rows, vocab_size, [&](int64_t row) {
    float* z = logits + row * vocab_size;
    const RowSum sum = inner().row_sum(z, vocab_size, temperature);
    inner().softmax_gradient(z, vocab_size, targets[row], temperature, sum, coefficients[row]);
  });
}

bool sample(ThreadPool& pool, int64_t num_rows, int64_t vocab_size, const float* logits, float temperature,
            const float* uniforms, int64_t* tokens, float* logprobs) {
  const bool is_greedy = temperature == 0.0f;
  const float divisor = is_greedy ? 1.0f : temperature;
  const int64_t num_tiles = (vocab_size + kSamplingTile - 1) / kSamplingTile;
  std::atomic<bool> is_finite{true};
  for_rows(pool, num_rows, vocab_size, [&](int64_t row) {
    const float* z = logits + row * vocab_size;
    const RowSum sum = inner().row_sum(z, vocab_size, divisor);
    if (!std::isfinite(sum.sum) || !std::isfinite(sum.weighted) || !std::isfinite(sum.max)) {
      is_finite = false;
      return;
    }
    if (is_greedy) {
      tokens[row] = inner().arg_max(z, vocab_size);
      logprobs[row] = logprob_of(z[tokens[row]], divisor, sum);
      return;
    }
    std::vector<float> tiles(static_cast<size_t>(num_tiles));
    std::vector<float> weights(z, z + vocab_size);
    inner().exponentials(weights.data(), vocab_size, divisor, sum.max, tiles.data());
    float total = 0.0f;
    for (const float tile : tiles) total += tile;
    const float threshold = uniforms[row] * total;
    float before = 0.0f;
    int64_t tile = 0;
    while (tile + 1 < num_tiles && before + tiles[tile] <= threshold) before += tiles[tile++];
    const int64_t end = std::min(vocab_size, (tile + 1) * kSamplingTile);
    int64_t token = -1;
    for (int64_t i = tile * kSamplingTile; i < end; ++i) {
      if (weights[i] == 0.0f) continue;
      token = i;
      before += weights[i];
      if (before > threshold) break;
    }
    // Rounding may lead to the last tile though it holds zeros alone: then the last id that has a weight.
    for (int64_t i = end - 1; token < 0; --i) {
      if (weights[i] > 0.0f) token = i;
    }
    tokens[row] = token;
    logprobs[row] = logprob_of(z[token], divisor, sum);
  });
  return is_finite;
}

}  // namespace noregret::kernels
