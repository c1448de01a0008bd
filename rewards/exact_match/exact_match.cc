// The plugin to copy for a new one: see README.md.
#include <stdexcept>

#include "noregret/reward/sdk.h"

namespace {

using noregret::sdk::Item;
using noregret::sdk::Score;

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

class ExactMatch {
 public:
  static constexpr const char* kName = "exact_match";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  Score score(const Item& item) const {
    const std::string_view reference = stripped(item.reference);
    if (reference.empty()) throw std::invalid_argument("the reference is empty, so nothing can match it");
    return stripped(item.completion) == reference ? 1.0 : 0.0;
  }
};

}  // namespace

NOREGRET_REWARD_PLUGIN(ExactMatch)
