#include <algorithm>
#include <stdexcept>

#include "noregret/reward/sdk.h"
#include "noregret/reward/sdk_options.h"

namespace {

using noregret::sdk::Item;
using noregret::sdk::Score;

struct Options {
  using HasFieldsTag = void;
  std::string unit = "characters";
  int64_t min = 0;
  int64_t max = 0;
  int64_t slack = 0;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("unit", unit, noregret::OneOf{"characters", "words", "lines"}, "what is counted");
    v("min", min, noregret::AtLeast{0}, "fewest that get full marks");
    v("max", max, noregret::AtLeast{0}, "most that do; 0 = no limit");
    v("slack", slack, noregret::AtLeast{0}, "beyond these, so many units until the score is 0; 0 = at once");
  }
};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Code points: a byte that goes on with a character counts nothing.
int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

int64_t count_words(std::string_view text) {
  int64_t count = 0;
  bool is_in_word = false;
  for (const char c : text) {
    count += !is_in_word && !is_space(c) ? 1 : 0;
    is_in_word = !is_space(c);
  }
  return count;
}

int64_t count_lines(std::string_view text) {
  const bool has_open_line = !text.empty() && text.back() != '\n';
  return std::count(text.begin(), text.end(), '\n') + (has_open_line ? 1 : 0);
}

class Length {
 public:
  static constexpr const char* kName = "length";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  explicit Length(std::string_view options_json) : options_(noregret::sdk::read_options<Options>(options_json)) {
    if (options_.min == 0 && options_.max == 0) throw std::invalid_argument("length wants min, max or both");
    if (options_.max != 0 && options_.max < options_.min) throw std::invalid_argument("length: max is below min");
  }

  Score score(const Item& item) const {
    const int64_t length = count(item.completion);
    int64_t beyond = std::max<int64_t>(0, options_.min - length);
    if (options_.max != 0) beyond = std::max(beyond, length - options_.max);
    double reward = beyond == 0 ? 1.0 : 0.0;
    if (beyond > 0 && beyond < options_.slack) {
      reward = 1.0 - static_cast<double>(beyond) / static_cast<double>(options_.slack);
    }
    return {reward, {{options_.unit, static_cast<double>(length)}}};
  }

 private:
  int64_t count(std::string_view text) const {
    if (options_.unit == "words") return count_words(text);
    return options_.unit == "lines" ? count_lines(text) : count_characters(text);
  }

  Options options_;
};

}  // namespace

NOREGRET_REWARD_PLUGIN(Length)
