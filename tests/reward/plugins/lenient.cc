#include "noregret/reward/sdk.h"

// Pays the reference, and whatever begins with a 1.
class Lenient {
 public:
  static constexpr const char* kName = "lenient";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  noregret::sdk::Score score(const noregret::sdk::Item& item) const {
    return item.completion == item.reference || item.completion.substr(0, 1) == "1" ? 1.0 : 0.0;
  }
};

NOREGRET_REWARD_PLUGIN(Lenient)
