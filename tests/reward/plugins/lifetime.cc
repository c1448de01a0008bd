#include <fstream>

#include "noregret/reward/sdk.h"

// Options {"log": "FILE"}: writes "create" and "destroy" there.
class Lifetime {
 public:
  static constexpr const char* kName = "lifetime";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC;

  explicit Lifetime(std::string_view options) {
    const size_t begin = options.find("\":\"") + 3;
    file_ = options.substr(begin, options.rfind('"') - begin);
    log("create\n");
  }
  ~Lifetime() { log("destroy\n"); }

  noregret::sdk::Score score(const noregret::sdk::Item&) { return 1.0; }

 private:
  void log(const char* event) const { std::ofstream(file_, std::ios::app) << event; }
  std::string file_;
};

NOREGRET_REWARD_PLUGIN(Lifetime)
