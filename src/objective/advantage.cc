#include "noregret/objective/advantage.h"

#include <Eigen/Core>
#include <cmath>

#include "noregret/base/check.h"
#include "noregret/base/error.h"

namespace noregret {
namespace {

// Keeps the advantage finite where rewards are almost equal, as in the published implementations of GRPO.
constexpr double kStdFloor = 1e-4;

Eigen::ArrayXd valid_rewards(std::span<const double> rewards, const std::vector<bool>& is_valid) {
  Eigen::ArrayXd valid(static_cast<Eigen::Index>(rewards.size()));
  Eigen::Index count = 0;
  for (size_t i = 0; i < rewards.size(); ++i) {
    if (!is_valid[i]) continue;
    NOREGRET_CHECK(std::isfinite(rewards[i]), "reward ", i, " is ", rewards[i], " and counted as valid");
    valid[count++] = rewards[i];
  }
  return valid.head(count);
}

double factor(const std::string& name, const Eigen::ArrayXd& centered) {
  const auto n = static_cast<double>(centered.size());
  if (name == "center") return 1.0;
  if (name == "rloo") return n / (n - 1.0);
  if (name == "grpo") return 1.0 / (std::sqrt(centered.square().sum() / (n - 1.0)) + kStdFloor);
  const std::vector<std::string> known = {"center", "rloo", "grpo"};
  throw ConfigError(
      cat("objective.advantage is ", quoted(name), ", want one of ", join(known, " "), did_you_mean(name, known)));
}

}  // namespace

std::vector<double> group_advantages(const std::string& name, std::span<const double> rewards,
                                     const std::vector<bool>& is_valid) {
  NOREGRET_CHECK(rewards.size() == is_valid.size(), rewards.size(), " rewards, ", is_valid.size(), " flags");
  std::vector<double> advantages(rewards.size(), 0.0);
  const Eigen::ArrayXd valid = valid_rewards(rewards, is_valid);
  if (valid.size() < 2) {
    factor(name, Eigen::ArrayXd::Zero(2));  // a wrong name is an error whatever the rewards
    return advantages;
  }
  // Around the first reward, so that equal rewards give exactly 0: those groups are then left out of the update.
  const Eigen::ArrayXd shifted = valid - valid[0];
  const Eigen::ArrayXd centered = shifted - shifted.mean();
  const Eigen::ArrayXd scaled = centered * factor(name, centered);
  Eigen::Index next = 0;
  for (size_t i = 0; i < rewards.size(); ++i) {
    if (is_valid[i]) advantages[i] = scaled[next++];
  }
  return advantages;
}

double bits_bound(double success, int64_t group_size) {
  NOREGRET_CHECK(success >= 0.0 && success <= 1.0, "success is ", success, ", want a share in [0, 1]");
  NOREGRET_CHECK(group_size >= 0, "group_size is ", group_size);
  if (success == 0.0 || success == 1.0) return 0.0;
  const double failure = 1.0 - success;
  return -static_cast<double>(group_size) * (success * std::log2(success) + failure * std::log2(failure));
}

}  // namespace noregret
