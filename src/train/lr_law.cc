#include "noregret/train/lr_law.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "noregret/base/check.h"
#include "noregret/base/error.h"

namespace noregret {
namespace {

constexpr double kFullRate = 5e-5;  // at width 2000
constexpr double kReferenceWidth = 2000.0;
constexpr double kLlamaExponent = 0.781;
constexpr int64_t kFittedWidth = 1000;  // the sweeps behind the law begin about there
constexpr double kLoraFactor = 10.0;
constexpr double kShortLoraFactor = 15.0;
constexpr int64_t kShortRunSteps = 100;
constexpr double kRecipeAlpha = 32.0;
constexpr double kRlFactor = 0.2;

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

LrLaw lr_law(const LrLawInput& input) {
  NOREGRET_CHECK(input.hidden_size > 0, "hidden_size ", input.hidden_size);
  LrLaw law;
  law.lr = kFullRate * std::pow(kReferenceWidth / static_cast<double>(input.hidden_size), kLlamaExponent);
  std::string factors =
      cat(kFullRate, " * (", kReferenceWidth, " / ", input.hidden_size, ")^", kLlamaExponent, " for the width");
  const auto multiply = [&](double factor, const std::string& reason) {
    law.lr *= factor;
    factors += cat(", * ", rounded(factor), " ", reason);
  };
  if (input.lora_alpha) {
    NOREGRET_CHECK(*input.lora_alpha > 0, "alpha ", *input.lora_alpha);
    const bool is_short = input.num_steps < kShortRunSteps;
    multiply(is_short ? kShortLoraFactor : kLoraFactor,
             is_short ? cat("for LoRA in under ", kShortRunSteps, " steps") : "for LoRA");
    if (*input.lora_alpha != kRecipeAlpha) {
      multiply(std::sqrt(kRecipeAlpha / *input.lora_alpha),
               cat("for alpha ", *input.lora_alpha, " instead of ", kRecipeAlpha));
    }
  }
  if (input.is_rl) multiply(kRlFactor, "for RL");
  law.explanation = cat(rounded(law.lr), " (auto: ", factors);
  if (input.hidden_size < kFittedWidth)
    law.explanation += cat("; extrapolated: the law was fitted on models wider than ", kFittedWidth);
  law.explanation += ")";
  return law;
}

LrLaw resolve_lr(const std::string& text, const LrLawInput& input) {
  LrLaw law = lr_law(input);
  if (text == "auto") return law;
  double lr = 0.0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, lr);
  if (error != std::errc() || rest != end || !std::isfinite(lr) || !(lr > 0)) {
    throw ConfigError(
        cat("optimizer.lr is ", quoted(text), ", want a positive number, or auto for the recipe's ", rounded(law.lr)));
  }
  return {.lr = lr, .explanation = cat(lr, " (optimizer.lr; auto would be ", rounded(law.lr), ")")};
}

}  // namespace noregret
