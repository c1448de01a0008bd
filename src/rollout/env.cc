#include "noregret/rollout/env.h"

#include <array>

namespace noregret {
namespace {

struct NamedReason {
  std::string_view name;
  StopReason reason;
};
constexpr std::array<NamedReason, 4> kReasons = {{{"completed", StopReason::kCompleted},
                                                  {"max_turns", StopReason::kMaxTurns},
                                                  {"max_tokens", StopReason::kMaxTokens},
                                                  {"parse_error", StopReason::kParseError}}};

}  // namespace

void StepResult::truncate(StopReason reason) {
  if (is_over()) return;
  is_truncated = true;
  stop_reason = reason;
  messages.clear();
}

std::string_view stop_reason_name(StopReason reason) {
  for (const NamedReason& known : kReasons) {
    if (known.reason == reason) return known.name;
  }
  return "";
}

std::optional<StopReason> parse_stop_reason(std::string_view name) {
  for (const NamedReason& known : kReasons) {
    if (known.name == name) return known.reason;
  }
  return std::nullopt;
}

}  // namespace noregret
