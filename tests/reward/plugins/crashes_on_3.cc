#include "noregret/reward/sdk.h"

// Judges by the reference, and crashes where the completion has a 3.
namespace {

volatile uintptr_t nowhere = 8;

class HostileTo3 {
 public:
  static constexpr const char* kName = "hostile_to_3";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  noregret::sdk::Score score(const noregret::sdk::Item& item) const {
    if (item.completion.find('3') != std::string_view::npos) *reinterpret_cast<volatile int*>(nowhere) = 1;
    return item.completion == item.reference ? 1.0 : 0.0;
  }
};

}  // namespace

NOREGRET_REWARD_PLUGIN(HostileTo3)
