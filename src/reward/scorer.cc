#include "noregret/reward/scorer.h"

#include <array>

namespace noregret {
namespace {

constexpr std::array<std::string_view, 12> kNames = {"none",         "failed",      "threw",       "timeout",
                                                     "crashed",      "wrong_count", "wrong_id",    "not_finite",
                                                     "out_of_range", "protocol",    "unavailable", "http_status"};

}  // namespace

std::string_view failure_name(FailureKind kind) { return kNames.at(static_cast<size_t>(kind)); }

std::optional<FailureKind> parse_failure(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<FailureKind>(i);
  }
  return std::nullopt;
}

ComponentScore failed_score(FailureKind kind, const std::string& error) {
  ComponentScore score;
  score.kind = kind;
  score.error = error;
  return score;
}

}  // namespace noregret
