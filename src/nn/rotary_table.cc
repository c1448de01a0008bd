#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/polar.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "noregret/nn/ops.h"

namespace noregret::ops {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

// Llama 3.1: long waves are stretched by `factor`, short ones kept, those between interpolated.
double llama3_frequency(const RopeOptions& rope, double frequency, double original_length) {
  const double wavelength = kTwoPi / frequency;
  if (wavelength < original_length / rope.high_freq_factor) return frequency;
  if (wavelength > original_length / rope.low_freq_factor) return frequency / rope.factor;
  const double smooth =
      (original_length / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - smooth) * frequency / rope.factor + smooth * frequency;
}

// The index of the frequency that turns `num_rotations` times over the original length (YaRN, arXiv:2309.00071,
// section 3.2).
double correction_index(const RopeOptions& rope, double num_rotations, int64_t head_dim, double original_length) {
  return static_cast<double>(head_dim) * std::log(original_length / (num_rotations * kTwoPi)) /
         (2.0 * std::log(rope.theta));
}

void scale_yarn(const RopeOptions& rope, int64_t head_dim, double original_length, std::vector<double>& frequencies) {
  const double low = std::max(std::floor(correction_index(rope, rope.beta_fast, head_dim, original_length)), 0.0);
  double high = std::min(std::ceil(correction_index(rope, rope.beta_slow, head_dim, original_length)),
                         static_cast<double>(head_dim - 1));
  if (low == high) high += 0.001;  // transformers' guard against a ramp without width
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / rope.factor * ramp + frequencies[i] * (1.0 - ramp);
  }
}

double attention_factor(const RopeOptions& rope) {
  if (rope.type != RopeOptions::Type::kYarn) return 1.0;
  if (rope.attention_factor > 0.0) return rope.attention_factor;
  return rope.factor <= 1.0 ? 1.0 : 0.1 * std::log(rope.factor) + 1.0;
}

std::vector<double> rotary_frequencies(const RopeOptions& rope, int64_t head_dim, int64_t max_positions) {
  const auto original_length =
      static_cast<double>(rope.original_max_positions > 0 ? rope.original_max_positions : max_positions);
  std::vector<double> frequencies;
  for (int64_t i = 0; i < head_dim; i += 2) {
    const double exponent = static_cast<float>(i) / static_cast<float>(head_dim);
    double frequency = 1.0f / static_cast<float>(std::pow(rope.theta, exponent));
    if (rope.type == RopeOptions::Type::kLinear) frequency /= rope.factor;
    if (rope.type == RopeOptions::Type::kLlama3) frequency = llama3_frequency(rope, frequency, original_length);
    frequencies.push_back(frequency);
  }
  if (rope.type == RopeOptions::Type::kYarn) scale_yarn(rope, head_dim, original_length, frequencies);
  return frequencies;
}

}  // namespace

// Frequencies and angles are rounded to f32 where transformers rounds them, because that is what models are trained and
// judged with: exact angles move log-probs of SmolLM2-135M by up to 4e-4 at position 5000, these by 3e-5.
Tensor rotary_table(const RopeOptions& rope, int64_t head_dim, int64_t max_positions, at::Device device) {
  const Tensor frequencies = at::tensor(rotary_frequencies(rope, head_dim, max_positions), at::kFloat);
  const Tensor angles = at::arange(max_positions, at::kFloat).outer(frequencies).to(at::kDouble);
  const Tensor lengths = at::full({1}, attention_factor(rope), at::kDouble).expand(angles.sizes());
  return at::polar(lengths, angles).to(at::kComplexFloat).to(device);
}

}  // namespace noregret::ops
