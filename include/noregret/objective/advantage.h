#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace noregret {

// Advantages of one group's completions from their rewards; a completion whose reward failed takes no part and gets 0.
//   center  r_i - mean                        (group mean baseline)
//   rloo    n / (n - 1) * (r_i - mean)        (leave-one-out baseline, arXiv:2402.14740)
//   grpo    (r_i - mean) / (std + 1e-4), std with n - 1   (arXiv:2402.03300, section 4.1.2; equal rewards give 0)
// `is_valid` has one entry a reward. Fewer than two valid rewards: all 0. Throws ConfigError on another name.
std::vector<double> group_advantages(const std::string& name, std::span<const double> rewards,
                                     const std::vector<bool>& is_valid);

// sum over groups of G * H2(share of groups' completions that are right) bits: an upper bound of what one step can
// teach; H2(p) = -p log2 p - (1-p) log2(1-p). `success` is in [0, 1].
double bits_bound(double success, int64_t group_size);

}  // namespace noregret
