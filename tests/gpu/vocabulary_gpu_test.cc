#include <map>

#include "noregret/kernels/rows.h"
#include "tests/gpu/gpu_support.h"

namespace noregret::kernels {
namespace {

class VocabularyOnGpu : public GpuTest {};

constexpr int64_t kVocabSizes[] = {258, 300, 49152, 151936};
constexpr float kTemperatures[] = {1.0f, 0.7f};
constexpr float kLastUniform = 0.99999994f;  // the largest f32 below 1

// softmax(logits / temperature) in f64.
struct Distribution {
  Distribution(const float* logits, int64_t vocab_size, double temperature) {
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < vocab_size; ++i) most = std::max(most, logits[i] / temperature);
    for (int64_t i = 0; i < vocab_size; ++i) sum += std::exp(logits[i] / temperature - most);
    lse = most + std::log(sum);
    for (int64_t i = 0; i < vocab_size; ++i) {
      logprobs.push_back(logits[i] / temperature - lse);
      probs.push_back(std::exp(logprobs.back()));
      entropy -= probs.back() * logprobs.back();
      widest = std::max({widest, most - logits[i] / temperature, std::abs(logits[i] / temperature)});
    }
    mean_below = most - lse + entropy;
  }
  std::vector<double> logprobs, probs;
  double lse = 0, entropy = 0;
  double widest = 0;      // the largest |z| or max - z
  double mean_below = 0;  // of max - z
};

// A few logits stand out, as a model's do.
std::vector<float> peaked_logits(int64_t size, uint64_t seed) {
  std::vector<float> logits = random_values(size, seed);
  for (float& logit : logits) logit = 20.0f * logit * logit * logit;
  return logits;
}
std::vector<float> repeated(const std::vector<float>& rows, int64_t count) {
  std::vector<float> all;
  all.reserve(rows.size() * static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) all.insert(all.end(), rows.begin(), rows.end());
  return all;
}
std::vector<float> evenly_spaced(int64_t count) {
  std::vector<float> uniforms;
  for (int64_t k = 0; k < count; ++k) uniforms.push_back(static_cast<float>(k) / static_cast<float>(count));
  return uniforms;
}

struct Scores {
  Tensor logprobs, entropy, lse;
};
Scores scores_of(const Tensor& logits, const Tensor& targets, float temperature) {
  const int64_t num_rows = targets.numel();
  Scores s{poisoned(num_rows, at::kFloat), poisoned(num_rows, at::kFloat), poisoned(num_rows, at::kFloat)};
  cuda::token_scores(stream(), num_rows, logits.numel() / num_rows, f32(logits), i64(targets), temperature,
                     f32(s.logprobs), f32(s.entropy), f32(s.lse));
  return s;
}

std::vector<int64_t> random_targets(int64_t num_rows, int64_t vocab_size) {
  Rng rng(202);
  std::vector<int64_t> targets;
  for (int64_t r = 0; r < num_rows; ++r) targets.push_back(static_cast<int64_t>(rng.below(vocab_size)));
  targets.front() = 0;
  targets.back() = vocab_size - 1;
  return targets;
}

TEST_F(VocabularyOnGpu, TokenScoresAreLogProbEntropyAndLogSumExp) {
  constexpr int64_t kNumRows = 6;
  for (const int64_t vocab : kVocabSizes) {
    for (const float spread : {0.01f, 8.0f, 60.0f}) {
      const std::vector<float> logits = random_values(kNumRows * vocab, 201, -spread, spread);
      const std::vector<int64_t> targets = random_targets(kNumRows, vocab);
      const Tensor gpu_logits = on_gpu(logits), gpu_targets = on_gpu(targets);
      for (const float temperature : kTemperatures) {
        const Scores scores = scores_of(gpu_logits, gpu_targets, temperature);
        const std::vector<float> logprobs = from_gpu<float>(scores.logprobs), lse = from_gpu<float>(scores.lse);
        const std::vector<float> entropy = from_gpu<float>(scores.entropy);
        for (int64_t r = 0; r < kNumRows; ++r) {
          const Distribution exact(&logits[r * vocab], vocab, temperature);
          // z, its maximum and their difference are rounded, __expf adds 2 |z| steps; then tiles one after the other.
          const double tolerance = kRounding * (8 * exact.widest + static_cast<double>(vocab) / 256 + 60);
          const std::string what = cat(vocab, " logits within ", spread, " at temperature ", temperature);
          EXPECT_NEAR(logprobs[r], exact.logprobs[targets[r]], tolerance) << what;
          EXPECT_NEAR(lse[r], exact.lse, tolerance) << what;
          // ln total - mean of z - max: each term of the mean has the relative error of its weight.
          EXPECT_NEAR(entropy[r], exact.entropy, tolerance * (1 + 2 * exact.mean_below)) << what;
        }
        const Tensor only_lse = poisoned(kNumRows, at::kFloat);
        cuda::token_scores(stream(), kNumRows, vocab, f32(gpu_logits), nullptr, temperature, nullptr, nullptr,
                           f32(only_lse));
        EXPECT_EQ(from_gpu<uint32_t>(only_lse), from_gpu<uint32_t>(scores.lse));
      }
    }
  }
}

TEST_F(VocabularyOnGpu, TokenGradientsAreTheCpus) {
  constexpr int64_t kNumRows = 5;
  ThreadPool pool(4);
  const std::vector<float> coefficients = {1.5f, -0.75f, 0.0f, 1e-4f, -2.0f};
  for (const int64_t vocab : kVocabSizes) {
    const std::vector<float> logits = peaked_logits(kNumRows * vocab, 211);
    const std::vector<int64_t> targets = random_targets(kNumRows, vocab);
    const Tensor gpu_logits = on_gpu(logits), gpu_targets = on_gpu(targets), gpu_coefficients = on_gpu(coefficients);
    for (const float temperature : kTemperatures) {
      std::vector<float> want = logits;
      token_gradients(pool, kNumRows, vocab, want.data(), targets.data(), temperature, coefficients.data());
      const Scores scores = scores_of(gpu_logits, gpu_targets, temperature);
      const Tensor grad = poisoned(kNumRows * (vocab + 8), at::kBFloat16);
      cuda::token_gradients(stream(), kNumRows, vocab, f32(gpu_logits), i64(gpu_targets), temperature,
                            f32(gpu_coefficients), f32(scores.lse), bf16(grad), vocab + 8);
      const std::vector<float> values = without_gaps(grad, vocab, vocab + 8);
      for (int64_t i = 0; i < kNumRows * vocab; ++i) {
        // 1 - p of the target cancels where p is near 1; elsewhere f32's relative error counts, and zeros below 1e-37.
        const double absolute = i % vocab == targets[i / vocab] ? 1e-4 * std::abs(coefficients[i / vocab]) : 1e-37;
        ASSERT_NEAR(values[i], want[i], kBf16Rounding * std::abs(want[i]) + absolute)
            << "row " << i / vocab << ", id " << i % vocab << " of " << vocab << " at " << temperature;
      }
    }
  }
}

// --- sampling

struct Sampled {
  std::vector<int64_t> tokens;
  std::vector<float> logprobs;
};
Sampled sample_on_gpu(const Tensor& logits, float temperature, const std::vector<float>& uniforms) {
  const auto num_rows = static_cast<int64_t>(uniforms.size());
  const Tensor tokens = poisoned(num_rows, at::kLong), logprobs = poisoned(num_rows, at::kFloat);
  const Tensor gpu_uniforms = on_gpu(uniforms);
  cuda::sample(stream(), num_rows, logits.numel() / num_rows, f32(logits), temperature, f32(gpu_uniforms), i64(tokens),
               f32(logprobs));
  return {from_gpu<int64_t>(tokens), from_gpu<float>(logprobs)};
}
Sampled sample_on_gpu(const std::vector<float>& logits, float temperature, const std::vector<float>& uniforms) {
  return sample_on_gpu(on_gpu(logits), temperature, uniforms);
}

// The f64 cumulative sums on both sides of the token straddle the uniform: f32 sums of up to 594 tiles err by some
// 1e-6.
void expect_straddles(const std::vector<double>& ends, int64_t token, float uniform, const std::string& what) {
  ASSERT_GE(token, 0) << what;
  ASSERT_LT(token, static_cast<int64_t>(ends.size())) << what;
  EXPECT_LE(token == 0 ? 0.0 : ends[token - 1], uniform + 1e-5) << what;
  EXPECT_GE(ends[token], uniform - 1e-5) << what;
}

TEST_F(VocabularyOnGpu, SampleTakesTheCpusTokens) {
  constexpr int64_t kDistinct = 8, kCopies = 16, kNumRows = kDistinct * kCopies;
  ThreadPool pool(4);
  for (const int64_t vocab : kVocabSizes) {
    const std::vector<float> logits = repeated(peaked_logits(kDistinct * vocab, 221), kCopies);
    const Tensor gpu_logits = on_gpu(logits);
    std::vector<float> uniforms = random_values(kNumRows, 222, 0.0f, 1.0f);
    uniforms[0] = 0.0f;
    for (const float temperature : kTemperatures) {
      std::vector<int64_t> tokens(kNumRows, -1);
      std::vector<float> logprobs(kNumRows, kNan);
      ASSERT_TRUE(
          sample(pool, kNumRows, vocab, logits.data(), temperature, uniforms.data(), tokens.data(), logprobs.data()));
      const Sampled sampled = sample_on_gpu(gpu_logits, temperature, uniforms);
      EXPECT_EQ(sampled.tokens[0], 0) << "every id has a weight";
      int64_t num_other = 0;
      for (int64_t d = 0; d < kDistinct; ++d) {
        std::vector<double> ends = Distribution(&logits[d * vocab], vocab, temperature).probs;
        for (int64_t i = 1; i < vocab; ++i) ends[i] += ends[i - 1];
        for (int64_t r = d; r < kNumRows; r += kDistinct) {
          const std::string what = cat("row ", r, " of ", vocab, " at ", temperature);
          expect_straddles(ends, sampled.tokens[r], uniforms[r], what);
          if (testing::Test::HasFatalFailure()) return;
          if (sampled.tokens[r] == tokens[r]) {
            EXPECT_NEAR(sampled.logprobs[r], logprobs[r], 1e-4) << what;  // as in TokenScores: 5e-5, and the CPU's
          } else {
            ++num_other;
            expect_straddles(ends, tokens[r], uniforms[r], what + " on the CPU");
          }
        }
      }
      // Likely ids have some 5e-4 of the largest vocabulary: sums that differ by 2e-6 part one row of 200.
      EXPECT_LE(num_other, 4) << vocab << " at " << temperature;
    }
  }
}

TEST_F(VocabularyOnGpu, SampledLogProbsAreTokenScoresBits) {
  constexpr int64_t kNumRows = 40;
  for (const int64_t vocab : kVocabSizes) {
    const Tensor logits = on_gpu(peaked_logits(kNumRows * vocab, 223));
    const std::vector<float> uniforms = random_values(kNumRows, 224, 0.0f, 1.0f);
    for (const float temperature : {0.0f, 1.0f, 0.7f, 2.5f}) {
      const Sampled sampled = sample_on_gpu(logits, temperature, uniforms);
      const Scores scores = scores_of(logits, on_gpu(sampled.tokens), temperature == 0.0f ? 1.0f : temperature);
      expect_same_bits(sampled.logprobs, from_gpu<float>(scores.logprobs), cat(vocab, " at ", temperature));
    }
  }
}

TEST_F(VocabularyOnGpu, GreedyTakesTheLowestOfTheLargest) {
  for (const int64_t vocab : {1, 2, 17, 300, 3000, 151936}) {
    std::vector<float> logits;
    std::vector<int64_t> want;
    for (const int64_t first : {int64_t{0}, vocab / 3, vocab / 2, vocab - 1}) {
      std::vector<float> row = random_values(vocab, 225, -5.0f, 1.0f);
      for (int64_t i = first; i < vocab; i += 7) row[i] = 1.5f;
      logits.insert(logits.end(), row.begin(), row.end());
      want.push_back(first);
    }
    EXPECT_EQ(sample_on_gpu(logits, 0.0f, {0.0f, 0.3f, 0.9f, kLastUniform}).tokens, want) << "of " << vocab;
  }
  EXPECT_EQ(sample_on_gpu(std::vector<float>{-3.0f, -0.0f, 0.0f}, 0.0f, {0.5f}).tokens[0], 1) << "zeros are equal";
}

TEST_F(VocabularyOnGpu, ARowThatIsNotFiniteGetsNoTokenAndHarmsNoOther) {
  const std::vector<float> uniforms = {0.1f, 0.4f, 0.5f, 0.7f, 0.9f};
  for (const int64_t vocab : {5, 300, 5000}) {
    const std::vector<float> logits = random_values(5 * vocab, 226, -3.0f, 3.0f);
    for (const float temperature : {0.0f, 1.0f, 0.7f}) {
      const Sampled good = sample_on_gpu(logits, temperature, uniforms);
      for (const float bad : {kNan, -kNan, kInfinity, -kInfinity}) {
        for (const int64_t at : {int64_t{0}, vocab / 2, vocab - 1}) {
          std::vector<float> with_bad = logits;
          with_bad[vocab + at] = with_bad[3 * vocab + at] = bad;
          const Sampled sampled = sample_on_gpu(with_bad, temperature, uniforms);
          for (size_t r = 0; r < uniforms.size(); ++r) {
            const bool is_bad = r == 1 || r == 3;
            ASSERT_EQ(sampled.tokens[r], is_bad ? -1 : good.tokens[r]) << bad << " at " << at << ", row " << r;
            if (!is_bad) {
              ASSERT_EQ(sampled.logprobs[r], good.logprobs[r]);
            }
          }
        }
      }
    }
  }
}

// Uniforms k / n cut the axis in n equal parts: a token of probability p gets between n p - 1 and n p + 1 of them, a
// bound far inside chi-square's. f32 sums may move both ends of its interval by 1e-6.
TEST_F(VocabularyOnGpu, SampleFollowsTheDistribution) {
  constexpr int64_t kNumRows = kIsEmulated ? 64 : 20000;
  for (const int64_t vocab : {1, 5, 255, 256, 257, 600}) {
    const std::vector<float> row = random_values(vocab, 227, -4.0f, 4.0f);
    const Tensor logits = on_gpu(row).expand({kNumRows, vocab}).contiguous();
    for (const float temperature : {1.0f, 0.5f, 4.0f}) {
      const Distribution exact(row.data(), vocab, temperature);
      std::map<int64_t, int64_t> counts;
      int64_t last = 0;
      for (const int64_t token : sample_on_gpu(logits, temperature, evenly_spaced(kNumRows)).tokens) {
        ASSERT_TRUE(token >= last && token < vocab) << token << " after " << last << ": larger uniforms, lower id";
        last = token;
        ++counts[token];
      }
      for (int64_t i = 0; i < vocab; ++i)
        ASSERT_NEAR(counts[i], kNumRows * exact.probs[i], 1 + 2e-6 * kNumRows) << i << " of " << vocab;
    }
  }
}

TEST_F(VocabularyOnGpu, SampleTakesNoTokenWithoutWeight) {
  const std::vector<float> uniforms = joined({evenly_spaced(50), {kLastUniform, 0.5f, 0.25f}});
  const std::vector<std::vector<int64_t>> supports = {{0}, {999}, {255}, {256}, {300, 301}, {511, 512}, {1, 700, 767}};
  for (const std::vector<int64_t>& support : supports) {
    std::vector<float> row(1000, -200.0f);
    for (const int64_t id : support) row[id] = 1.0f;
    const Sampled sampled = sample_on_gpu(repeated(row, static_cast<int64_t>(uniforms.size())), 1.0f, uniforms);
    for (size_t i = 0; i < uniforms.size(); ++i) {
      // All weights are 1 or 0, so that the cumulative sums are whole and the comparison is exact.
      const auto part = static_cast<size_t>(uniforms[i] * static_cast<float>(support.size()));
      ASSERT_EQ(sampled.tokens[i], support[part]) << "uniform " << uniforms[i];
      ASSERT_NEAR(sampled.logprobs[i], -std::log(static_cast<double>(support.size())), 2e-7);  // logf: 1 step
    }
  }
}

TEST_F(VocabularyOnGpu, ResultsOfARowDependOnItAlone) {
  constexpr int64_t kBatch = 64, kVocab = 49152;
  const Tensor logits = on_gpu(peaked_logits(kBatch * kVocab, 228));
  const std::vector<float> uniforms = random_values(kBatch, 229, 0.0f, 1.0f);
  const auto tokens = [&](int64_t first, int64_t count) {
    const Sampled sampled = sample_on_gpu(rows_of(logits, first, count, kVocab), 0.7f,
                                          {uniforms.begin() + first, uniforms.begin() + first + count});
    std::vector<double> results;  // both of a row are exact in f64
    for (size_t r = 0; r < sampled.tokens.size(); ++r) {
      results.push_back(static_cast<double>(sampled.tokens[r]));
      results.push_back(sampled.logprobs[r]);
    }
    return results;
  };
  expect_rows_stand_alone(kBatch, tokens, "sample");
}

}  // namespace
}  // namespace noregret::kernels
