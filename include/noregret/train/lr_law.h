#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace noregret {

// The recipe's learning rate: 5e-5 * (2000 / D)^0.781 for full fine-tuning of a Llama (tinker-cookbook get_lr; "LoRA
// Without Regret", doi 10.64434/tml.20250929); times 10 with LoRA (15 below 100 steps), at every rank; times sqrt(32 /
// alpha), a heuristic; times 0.2 in RL, a heuristic too.
struct LrLaw {
  double lr = 0.0;
  std::string explanation;  // one line that begins with the number: the factors, and "extrapolated" where D < 1000
};
struct LrLawInput {
  int64_t hidden_size = 0;
  std::optional<double> lora_alpha;  // none = full fine-tuning
  bool is_rl = false;
  int64_t num_steps = 0;  // of the whole run
};
LrLaw lr_law(const LrLawInput& input);

// `text` is a positive number or "auto". Throws ConfigError.
LrLaw resolve_lr(const std::string& text, const LrLawInput& input);

}  // namespace noregret
