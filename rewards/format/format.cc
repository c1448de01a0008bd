#include "noregret/grade/gsm8k.h"
#include "noregret/reward/sdk.h"
#include "noregret/reward/sdk_options.h"

namespace {

using noregret::sdk::Item;
using noregret::sdk::Score;

struct Options {
  using HasFieldsTag = void;
  std::string style = "gsm8k";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("style", style, noregret::OneOf{"gsm8k"}, "what a completion must look like");
  }
};

class Format {
 public:
  static constexpr const char* kName = "format";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  explicit Format(std::string_view options_json) : options_(noregret::sdk::read_options<Options>(options_json)) {}

  Score score(const Item& item) const {
    return noregret::ends_in_answer_line(item.completion, item.is_truncated()) ? 1.0 : 0.0;
  }

 private:
  Options options_;
};

}  // namespace

NOREGRET_REWARD_PLUGIN(Format)
