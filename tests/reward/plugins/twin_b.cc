#include "noregret/reward/sdk.h"

// Two libraries with a class of this name: neither may get the other's code.
class Constant {
 public:
  static constexpr const char* kName = "twin_b";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC;

  noregret::sdk::Score score(const noregret::sdk::Item&) { return 0.75; }
};

NOREGRET_REWARD_PLUGIN(Constant)
