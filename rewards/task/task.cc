#include <stdexcept>

#include "noregret/base/json.h"
#include "noregret/reward/sdk.h"

namespace {

using noregret::Json;
using noregret::sdk::Item;
using noregret::sdk::Part;
using noregret::sdk::Score;

// The score that a task's own episode gave.
struct TaskScore {
  static constexpr const char* kName = "task";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  Score score(const Item& item) const {
    const Json metadata = noregret::parse_json(item.metadata_json, "metadata");
    if (!metadata.is_object() || !metadata.contains("episode") || !metadata["episode"].contains("score")) {
      throw std::invalid_argument("the task does not judge itself; name a reward that compares with the reference");
    }
    const Json& episode = metadata["episode"];
    std::vector<Part> parts;
    for (const auto& [name, value] : episode["parts"].items()) parts.push_back({name, value.get<double>()});
    return {episode["score"].get<double>(), std::move(parts)};
  }
};

}  // namespace

NOREGRET_REWARD_PLUGIN(TaskScore)
