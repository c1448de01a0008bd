#include <map>

#include "noregret/kernels/rows.h"
#include "tests/kernels/kernel_cases.h"

namespace noregret::kernels {
namespace {

constexpr float kLastUniform = 0.99999994f;  // the largest f32 below 1
constexpr int64_t kSizes[] = {1, 5, 16, 255, 256, 257, 1000};

// softmax(logits / temperature), ln of it, and its entropy.
struct Distribution {
  Distribution(std::span<const float> logits, double temperature) {
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (const float logit : logits) most = std::max(most, logit / temperature);
    for (const float logit : logits) sum += std::exp(logit / temperature - most);
    for (const float logit : logits) {
      logprobs.push_back(logit / temperature - most - std::log(sum));
      probs.push_back(std::exp(logprobs.back()));
      if (probs.back() > 0) entropy -= probs.back() * logprobs.back();
      widest = std::max({widest, most - logit / temperature, std::abs(logit / temperature)});
    }
  }
  std::vector<double> logprobs, probs;
  double entropy = 0;
  double widest = 0;  // the largest |z| or max - z
};

std::span<const float> row_of(std::span<const float> logits, int64_t row, int64_t size) {
  return logits.subspan(row * size, size);
}

std::vector<int64_t> random_targets(int64_t num_rows, int64_t vocab_size, uint64_t seed) {
  Rng rng(seed);
  std::vector<int64_t> targets;
  for (int64_t r = 0; r < num_rows; ++r) targets.push_back(static_cast<int64_t>(rng.below(vocab_size)));
  targets.front() = 0;
  targets.back() = vocab_size - 1;
  return targets;
}

struct Scores {
  std::vector<float> logprobs, entropy;
};

Scores scores_of(ThreadPool& pool, std::span<const float> logits, const std::vector<int64_t>& targets,
                 float temperature) {
  const auto num_rows = static_cast<int64_t>(targets.size());
  Scores scores{std::vector<float>(targets.size(), kNan), std::vector<float>(targets.size(), kNan)};
  token_scores(pool, num_rows, static_cast<int64_t>(logits.size()) / num_rows, logits.data(), targets.data(),
               temperature, scores.logprobs.data(), scores.entropy.data());
  return scores;
}

TEST(TokenScores, AreLogProbAndEntropy) {
  constexpr int64_t kNumRows = 11;
  for (const int64_t size : kSizes) {
    for (const float spread : {0.01f, 3.0f, 60.0f}) {
      const std::vector<float> logits = random_values(kNumRows * size, 201, -spread, spread);
      const std::vector<int64_t> targets = random_targets(kNumRows, size, 202);
      for (const float temperature : {1.0f, 0.7f, 2.0f}) {
        const std::vector<float> result = same_in_all_settings([&](ThreadPool& pool) {
          const Scores scores = scores_of(pool, logits, targets, temperature);
          return joined({scores.logprobs, scores.entropy});
        });
        for (int64_t r = 0; r < kNumRows; ++r) {
          const Distribution exact(row_of(logits, r, size), temperature);
          // z and the maximum are rounded, and their difference; then the sum over the row and the result.
          const double tolerance = kRounding * (4 * exact.widest + size / 16 + 10);
          EXPECT_NEAR(result[r], exact.logprobs[targets[r]], tolerance) << size << " at " << temperature;
          // Each term p z has the relative error of p, 4 widest roundings, besides those of the sum.
          EXPECT_NEAR(result[kNumRows + r], exact.entropy, tolerance * (1 + exact.entropy)) << size;
        }
      }
    }
  }
}

TEST(TokenScores, OfEqualLogitsAreThoseOfTheUniformDistribution) {
  ThreadPool pool(2);
  for (const int64_t size : {1, 2, 3, 4, 10, 50257, 151936}) {
    const std::vector<float> logits(static_cast<size_t>(size), -7.5f);
    const Scores scores = scores_of(pool, logits, {size - 1}, 1.0f);
    // A sum of whole numbers below 2^24 is exact, its logarithm is that of f64: one rounding is left.
    EXPECT_EQ(scores.logprobs[0], static_cast<float>(-std::log(static_cast<double>(size)))) << size;
    EXPECT_EQ(scores.entropy[0], static_cast<float>(std::log(static_cast<double>(size)))) << size;
  }
}

TEST(TokenScores, TakeLogarithmsOfSumsJustAboveOne) {
  ThreadPool pool(1);
  // 1 + e^-d: ln of it is e^-d to e^-2d, with the sum's rounding of half a step, 2^-24.
  for (const float below : {1.0f, 4.0f, 10.0f, 15.0f, 30.0f, 80.0f, 100.0f, 1e4f, 1e30f}) {
    const std::vector<float> logits = {0.0f, -below, 0.0f, -below};
    const Scores scores = scores_of(pool, logits, {0, 1}, 1.0f);
    const double sum = std::log1p(std::exp(-static_cast<double>(below)));
    EXPECT_NEAR(scores.logprobs[0], -sum, kRounding * 1.5);
    EXPECT_NEAR(scores.logprobs[1], -below - sum, kRounding * (1.5 + below));
    EXPECT_NEAR(scores.entropy[0], sum + below * std::exp(-below) / (1 + std::exp(-below)), kRounding * 4) << below;
    EXPECT_GE(scores.entropy[0], 0.0f);
  }
}

TEST(TokenScores, KnowLogitsFarFromZero) {
  ThreadPool pool(1);
  for (const float shift : {-1e6f, 1e6f}) {  // a step of f32 is 1/16 there: sums with quarters are exact
    const std::vector<float> logits = {shift + 0.25f, shift - 1.0f, shift + 2.5f}, near = {0.25f, -1.0f, 2.5f};
    const Scores far_scores = scores_of(pool, logits, {1}, 1.0f), near_scores = scores_of(pool, near, {1}, 1.0f);
    EXPECT_EQ(far_scores.logprobs, near_scores.logprobs);
    EXPECT_EQ(far_scores.entropy, near_scores.entropy);
  }
}

TEST(TokenScores, OfARowThatIsNotFiniteAreNoNumbers) {
  for_each_setting([](ThreadPool& pool) {
    for (const int64_t size : {5, 16, 40, 300}) {
      for (int64_t at = 0; at < size; at += 3) {
        for (const float bad : {kNan, -kNan, kInfinity}) {
          std::vector<float> logits = random_values(3 * size, 203);
          logits[size + at] = bad;
          const Scores scores = scores_of(pool, logits, {0, (at + 1) % size, 0}, 1.0f);
          for (int64_t row = 0; row < 3; ++row) {
            ASSERT_EQ(std::isfinite(scores.logprobs[row]), row != 1) << scores.logprobs[row] << " with " << bad;
            ASSERT_EQ(std::isfinite(scores.entropy[row]), row != 1) << scores.entropy[row] << " with " << bad;
          }
        }
      }
    }
  });
}

TEST(TokenGradients, AreOnehotMinusSoftmax) {
  constexpr int64_t kNumRows = 9;
  for (const int64_t size : kSizes) {
    const std::vector<float> logits = random_values(kNumRows * size, 211, -8.0f, 8.0f);
    const std::vector<int64_t> targets = random_targets(kNumRows, size, 212);
    std::vector<float> coefficients = random_values(kNumRows, 213, -2.0f, 2.0f);
    coefficients[3] = 0.0f;
    for (const float temperature : {1.0f, 0.7f, 2.0f}) {
      const std::vector<float> result = same_in_all_settings([&](ThreadPool& pool) {
        std::vector<float> grad = logits;
        grad.resize(grad.size() + 16, kCanary);
        token_gradients(pool, kNumRows, size, grad.data(), targets.data(), temperature, coefficients.data());
        return grad;
      });
      for (int64_t r = 0; r < kNumRows; ++r) {
        const Distribution exact(row_of(logits, r, size), temperature);
        const double scale = coefficients[r] / static_cast<double>(temperature);
        // As in the log-probs: the relative error of p; then three more operations.
        const double tolerance = kRounding * (4 * exact.widest + size / 16 + 13) * std::abs(scale);
        double sum = 0;
        for (int64_t i = 0; i < size; ++i) {
          const double onehot = i == targets[r] ? 1.0 : 0.0;
          const double bound = tolerance * exact.probs[i] + onehot * 2 * kRounding * std::abs(scale);
          // Probabilities below e^-87 become 0.
          ASSERT_NEAR(result[r * size + i], scale * (onehot - exact.probs[i]), bound + 1e-37) << i;
          sum += result[r * size + i];
        }
        EXPECT_NEAR(sum, 0.0, tolerance);
        if (coefficients[r] == 0.0f) {
          for (int64_t i = 0; i < size; ++i) EXPECT_EQ(result[r * size + i], 0.0f);
        }
      }
      for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(result[kNumRows * size + i], kCanary);
    }
  }
}

TEST(TokenGradients, OfARowThatIsNotFiniteAreNoNumbers) {
  for (const float bad : {kNan, kInfinity}) {
    std::vector<float> logits = random_values(2 * 20, 214);
    logits[20 + 7] = bad;
    for_each_setting([&](ThreadPool& pool) {
      std::vector<float> grad = logits;
      const std::vector<int64_t> targets = {0, 3};
      const std::vector<float> coefficients = {1.0f, 1.0f};
      token_gradients(pool, 2, 20, grad.data(), targets.data(), 1.0f, coefficients.data());
      for (int64_t i = 0; i < 20; ++i) ASSERT_TRUE(std::isfinite(grad[i]));
      ASSERT_FALSE(std::isfinite(grad[20 + 7]));
    });
  }
}

// --- sampling

struct Sampled {
  bool is_finite;
  std::vector<int64_t> tokens;
  std::vector<float> logprobs;
};

Sampled sample_rows(ThreadPool& pool, const std::vector<float>& logits, float temperature,
                    const std::vector<float>& uniforms) {
  const auto num_rows = static_cast<int64_t>(uniforms.size());
  const int64_t size = static_cast<int64_t>(logits.size()) / num_rows;
  Sampled sampled{false, std::vector<int64_t>(uniforms.size(), -1), std::vector<float>(uniforms.size(), kNan)};
  sampled.is_finite = sample(pool, num_rows, size, logits.data(), temperature, uniforms.data(), sampled.tokens.data(),
                             sampled.logprobs.data());
  return sampled;
}

std::vector<float> repeated(const std::vector<float>& row, int64_t count) {
  std::vector<float> rows;
  for (int64_t i = 0; i < count; ++i) rows.insert(rows.end(), row.begin(), row.end());
  return rows;
}

std::vector<float> evenly_spaced(int64_t count) {
  std::vector<float> uniforms;
  for (int64_t k = 0; k < count; ++k) uniforms.push_back(static_cast<float>(k) / static_cast<float>(count));
  return uniforms;
}

TEST(Sample, GreedyTakesTheLowestOfTheLargest) {
  for (const int64_t size : {1, 2, 17, 256, 300}) {
    for (int64_t first = 0; first < size; first += size < 20 ? 1 : 13) {
      std::vector<float> row = random_values(size, 221, -5.0f, 1.0f);
      for (int64_t i = first; i < size; i += 2) row[i] = 1.5f;
      for_each_setting([&](ThreadPool& pool) {
        const Sampled sampled = sample_rows(pool, joined({row, row}), 0.0f, {0.0f, kLastUniform});
        ASSERT_TRUE(sampled.is_finite);
        ASSERT_EQ(sampled.tokens, std::vector<int64_t>(2, first)) << "of " << size;
      });
    }
  }
  ThreadPool pool(1);
  EXPECT_EQ(sample_rows(pool, {-3.0f, -0.0f, 0.0f}, 0.0f, {0.5f}).tokens[0], 1) << "zeros of both signs are equal";
}

TEST(Sample, LogProbsAreThoseOfTokenScores) {
  constexpr int64_t kNumRows = 25;
  for (const int64_t size : kSizes) {
    const std::vector<float> logits = random_values(kNumRows * size, 222, -9.0f, 9.0f);
    const std::vector<float> uniforms = random_values(kNumRows, 223, 0.0f, 1.0f);
    for (const float temperature : {0.0f, 1.0f, 0.6f, 3.0f}) {
      for_each_setting([&](ThreadPool& pool) {
        const Sampled sampled = sample_rows(pool, logits, temperature, uniforms);
        ASSERT_TRUE(sampled.is_finite);
        const float divisor = temperature == 0.0f ? 1.0f : temperature;
        expect_same_bits(sampled.logprobs, scores_of(pool, logits, sampled.tokens, divisor).logprobs, "log-probs");
      });
    }
  }
}

TEST(Sample, TokensAreTheSameInAllSettings) {
  constexpr int64_t kNumRows = 60;
  const std::vector<float> logits = random_values(kNumRows * 700, 224, -3.0f, 3.0f);
  const std::vector<float> uniforms = random_values(kNumRows, 225, 0.0f, 1.0f);
  std::vector<int64_t> expected;
  for_each_setting([&](ThreadPool& pool) {
    const Sampled sampled = sample_rows(pool, logits, 0.9f, uniforms);
    if (expected.empty()) expected = sampled.tokens;
    EXPECT_EQ(sampled.tokens, expected);
  });
}

// Uniforms k / n cut the axis in n equal parts: a token of probability p gets between n p - 1 and n p + 1 of them. f32
// sums of a tile (256 terms one after the other) and of the tiles may move both ends of its interval.
TEST(Sample, FollowsTheDistribution) {
  constexpr int64_t kNumUniforms = 20000, kNumRows = 500;
  const std::vector<float> uniforms = evenly_spaced(kNumUniforms);
  ThreadPool pool(2);
  for (const int64_t size : {1, 5, 255, 256, 257, 1000}) {
    const std::vector<float> row = random_values(size, 226, -4.0f, 4.0f), block = repeated(row, kNumRows);
    for (const float temperature : {1.0f, 0.5f, 4.0f}) {
      const Distribution exact(row, temperature);
      std::map<int64_t, int64_t> counts;
      int64_t last = 0;
      for (int64_t first = 0; first < kNumUniforms; first += kNumRows) {
        const Sampled sampled = sample_rows(pool, block, temperature, {&uniforms[first], &uniforms[first] + kNumRows});
        ASSERT_TRUE(sampled.is_finite);
        for (const int64_t token : sampled.tokens) {
          ASSERT_GE(token, last) << "a larger uniform gives no lower id";
          last = token;
          ++counts[token];
        }
      }
      ASSERT_LT(last, size);
      const double moved = 2 * kNumUniforms * 270 * kRounding;
      for (int64_t i = 0; i < size; ++i)
        ASSERT_NEAR(counts[i], kNumUniforms * exact.probs[i], 1 + moved) << i << " of " << size;
    }
  }
}

TEST(Sample, EndsOfTheUnitIntervalTakeTheFirstAndTheLastToken) {
  for (const int64_t size : {1, 5, 255, 256, 257, 512, 1000}) {
    const std::vector<float> logits = repeated(random_values(size, 227), 2);
    for_each_setting([&](ThreadPool& pool) {
      const Sampled sampled = sample_rows(pool, logits, 1.0f, {0.0f, kLastUniform});
      ASSERT_TRUE(sampled.is_finite);
      EXPECT_EQ(sampled.tokens[0], 0);
      EXPECT_EQ(sampled.tokens[1], size - 1);
    });
  }
}

TEST(Sample, TakesNoTokenWithoutWeight) {
  // Few ids with a weight, everything else at e^-200: also whole tiles of 256, first and last ones.
  const std::vector<float> uniforms = joined({evenly_spaced(50), {kLastUniform, 0.5f, 0.25f}});
  const std::vector<std::vector<int64_t>> supports = {{0}, {999}, {255}, {256}, {300, 301}, {511, 512}, {1, 700, 767}};
  for (const std::vector<int64_t>& support : supports) {
    std::vector<float> row(1000, -200.0f);
    for (const int64_t id : support) row[id] = 1.0f;
    for_each_setting([&](ThreadPool& pool) {
      const Sampled sampled = sample_rows(pool, repeated(row, uniforms.size()), 1.0f, uniforms);
      ASSERT_TRUE(sampled.is_finite);
      for (size_t i = 0; i < uniforms.size(); ++i) {
        // All weights are 1, so that the cumulative sums are whole and the comparison is exact.
        const auto part = static_cast<size_t>(uniforms[i] * static_cast<float>(support.size()));
        ASSERT_EQ(sampled.tokens[i], support[part]) << "uniform " << uniforms[i];
        ASSERT_EQ(sampled.logprobs[i], static_cast<float>(-std::log(static_cast<double>(support.size()))));
      }
      EXPECT_EQ(sample_rows(pool, row, 1.0f, {1.0f}).tokens[0], support.back()) << "as if 1 were just below";
    });
  }
}

// One sum after the other often stays below the tile's sum of 16 partial ones: then no weight goes beyond the
// threshold.
TEST(Sample, RoundingTakesTheLastTokenThatHasAWeight) {
  constexpr int64_t kNumRows = 500, kWithWeight = 200;
  ThreadPool pool(2);
  for (const int64_t size : {kWithWeight, kWithWeight + 30, kWithWeight + 100}) {
    std::vector<float> logits = random_values(kNumRows * size, 229);
    for (int64_t i = 0; i < kNumRows * size; ++i) {
      if (i % size >= kWithWeight) logits[i] = -200.0f;
    }
    const Sampled sampled = sample_rows(pool, logits, 1.0f, std::vector<float>(kNumRows, kLastUniform));
    ASSERT_TRUE(sampled.is_finite);
    for (const int64_t token : sampled.tokens) ASSERT_EQ(token, kWithWeight - 1);
  }
}

TEST(Sample, SaysThatARowIsNotFinite) {
  for_each_setting([](ThreadPool& pool) {
    const std::vector<float> uniforms = {0.1f, 0.5f, 0.9f};
    for (const int64_t size : {1, 5, 16, 300}) {
      const std::vector<float> logits = random_values(3 * size, 228);
      for (const float temperature : {0.0f, 1.0f, 0.5f}) {
        ASSERT_TRUE(sample_rows(pool, logits, temperature, uniforms).is_finite);
        for (int64_t at = 0; at < size; at += size < 20 ? 1 : 23) {
          for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
            std::vector<float> with_bad = logits;
            with_bad[size + at] = bad;
            ASSERT_FALSE(sample_rows(pool, with_bad, temperature, uniforms).is_finite)
                << bad << " at " << at << " of " << size;
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace noregret::kernels
