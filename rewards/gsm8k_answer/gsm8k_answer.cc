#include <stdexcept>

#include "noregret/grade/gsm8k.h"
#include "noregret/reward/sdk.h"
#include "noregret/reward/sdk_options.h"

namespace {

using noregret::Gsm8kGrade;
using noregret::Verdict;
using noregret::sdk::Item;
using noregret::sdk::Score;

struct Options {
  using HasFieldsTag = void;
  bool strict = true;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("strict", strict, "the answer must stand after \"####\"; false: without one, the last number counts");
  }
};

class Gsm8kAnswer {
 public:
  static constexpr const char* kName = "gsm8k_answer";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  explicit Gsm8kAnswer(std::string_view options_json) : options_(noregret::sdk::read_options<Options>(options_json)) {}

  Score score(const Item& item) const {
    const Gsm8kGrade grade =
        noregret::grade_gsm8k(item.reference, item.completion, item.is_truncated(), options_.strict);
    if (grade.verdict == Verdict::kGoldUnparsable) {
      throw std::invalid_argument("the reference " + noregret::quoted(item.reference) +
                                  " is no number; want one, alone or after \"####\"");
    }
    const bool is_answered = !grade.answer.empty();
    return {grade.verdict == Verdict::kEqual ? 1.0 : 0.0,
            {{"answered", is_answered ? 1.0 : 0.0}, {"strict", is_answered && grade.is_marked ? 1.0 : 0.0}}};
  }

 private:
  Options options_;
};

}  // namespace

NOREGRET_REWARD_PLUGIN(Gsm8kAnswer)
