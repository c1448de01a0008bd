#include "noregret/reward/sdk.h"

// What the SDK must catch: the options, or the completion, say what goes wrong.
class Faulty {
 public:
  static constexpr const char* kName = "sdk_faults";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  explicit Faulty(std::string_view options) {
    if (options.find("throw int") != std::string_view::npos) throw 7;
    if (options != "{}") throw std::invalid_argument("no such option in " + std::string(options));
  }

  noregret::sdk::Score score(const noregret::sdk::Item& item) const {
    if (item.completion == "throw std") throw std::runtime_error("cannot judge " + std::string(item.id));
    if (item.completion == "throw int") throw 7;
    if (item.completion == "throw long") throw std::runtime_error(std::string(100000, 'x'));
    if (item.completion == "many parts") return {1.0, std::vector<noregret::sdk::Part>(1000, {"x", 1.0})};
    if (item.completion == "long part name") return {1.0, {{std::string(100, 'x'), 1.0}}};
    if (item.completion == "what it sees")
      return {0.5,
              {{"prompt", size(item.prompt)},
               {"reference", size(item.reference)},
               {"metadata", size(item.metadata_json)},
               {"truncated", item.is_truncated() * 1.0}}};
    return 1.0;
  }

 private:
  static double size(std::string_view text) { return static_cast<double>(text.size()); }
};

NOREGRET_REWARD_PLUGIN(Faulty)
