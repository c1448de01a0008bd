#include <atomic>
#include <thread>

#include "noregret/reward/sdk.h"

// Not thread-safe: fails when it is called while it runs. Also counts what it is given.
class TakesTurns {
 public:
  static constexpr const char* kName = "takes_turns";
  static constexpr double kMinReward = -1.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = 0;

  noregret::sdk::Score score(const noregret::sdk::Item&) {
    if (is_running_.exchange(true)) throw std::logic_error("called while it runs");
    std::this_thread::yield();
    is_running_ = false;
    return {-1.0, {{"num_items", static_cast<double>(++num_items_)}}};
  }

 private:
  std::atomic<bool> is_running_{false};
  int num_items_ = 0;
};

NOREGRET_REWARD_PLUGIN(TakesTurns)
