#include <re2/re2.h>

#include <array>
#include <memory>
#include <stdexcept>

#include "noregret/reward/sdk.h"
#include "noregret/reward/sdk_options.h"

namespace {

using noregret::sdk::Item;
using noregret::sdk::Score;

constexpr int kMaxMatches = 1000;
constexpr int64_t kMaxMemory = int64_t{16} << 20;  // of a compiled pattern

struct Options {
  using HasFieldsTag = void;
  std::string pattern;
  std::string match = "search";
  bool equals_reference = false;
  bool negate = false;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("pattern", pattern, "RE2 syntax");
    v("match", match, noregret::OneOf{"search", "full"}, "anywhere in the completion, or all of it");
    v("equals_reference", equals_reference, "the last match's first group must be the reference, too");
    v("negate", negate, "full marks when it does not match");
  }
};

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

class Regex {
 public:
  static constexpr const char* kName = "regex";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;

  explicit Regex(std::string_view options_json) : options_(noregret::sdk::read_options<Options>(options_json)) {
    if (options_.pattern.empty()) throw std::invalid_argument("options.pattern is missing, as in {pattern: \"^yes$\"}");
    RE2::Options re2;
    re2.set_log_errors(false);
    re2.set_max_mem(kMaxMemory);
    pattern_ = std::make_unique<RE2>(options_.pattern, re2);
    if (!pattern_->ok()) {
      throw std::invalid_argument("options.pattern does not compile: " + pattern_->error() +
                                  "; it is RE2, without look-around and back-references");
    }
    if (!options_.equals_reference) return;
    if (options_.negate) throw std::invalid_argument("options: negate and equals_reference do not go together");
    if (pattern_->NumberOfCapturingGroups() < 1) {
      throw std::invalid_argument("options.pattern has no group (...), equals_reference compares the first one");
    }
  }

  Score score(const Item& item) const {
    if (!options_.equals_reference) return matches(item.completion) != options_.negate ? 1.0 : 0.0;
    const std::string_view reference = stripped(item.reference);
    if (reference.empty()) throw std::invalid_argument("the reference is empty, so nothing can equal it");
    const std::string answer(stripped(last_group(item.completion)));
    return {answer == reference ? 1.0 : 0.0, {{"matched", answer.empty() ? 0.0 : 1.0}}};
  }

 private:
  bool matches(std::string_view text) const {
    const re2::StringPiece piece(text.data(), text.size());
    return options_.match == "full" ? RE2::FullMatch(piece, *pattern_) : RE2::PartialMatch(piece, *pattern_);
  }

  std::string_view last_group(std::string_view text) const {
    const re2::StringPiece rest(text.data(), text.size());
    std::string_view last;
    if (options_.match == "full") {
      re2::StringPiece group;
      if (RE2::FullMatch(rest, *pattern_, &group)) last = {group.data(), group.size()};
      return last;
    }
    std::array<re2::StringPiece, 2> found;
    int num_matches = 0;
    for (size_t begin = 0;
         begin <= rest.size() && pattern_->Match(rest, begin, rest.size(), RE2::UNANCHORED, found.data(), 2);) {
      // Each search is linear; without an end to them their sum is not.
      if (++num_matches > kMaxMatches) return "";
      if (found[1].data() != nullptr) last = {found[1].data(), found[1].size()};
      const auto end = static_cast<size_t>(found[0].data() - rest.data()) + found[0].size();
      begin = found[0].empty() ? end + 1 : end;
    }
    return last;
  }

  Options options_;
  std::unique_ptr<RE2> pattern_;
};

}  // namespace

NOREGRET_REWARD_PLUGIN(Regex)
