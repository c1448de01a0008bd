#include "tests/fuzz/text_mutator.h"

#include <array>

#include "noregret/base/rng.h"

namespace noregret::fuzz {
namespace {

constexpr std::string_view kMarks = "{}[]()<>,:;\"'\\ \n";
constexpr std::string_view kDigits = "0123456789";
constexpr std::array<std::string_view, 24> kNumbers = {"0",
                                                       "1",
                                                       "-1",
                                                       "2",
                                                       "4",
                                                       "8",
                                                       "16",
                                                       "255",
                                                       "256",
                                                       "65536",
                                                       "2147483647",
                                                       "2147483648",
                                                       "4294967295",
                                                       "4294967296",
                                                       "1048576",
                                                       "1152921504606846976",
                                                       "9223372036854775807",
                                                       "9223372036854775808",
                                                       "18446744073709551615",
                                                       "18446744073709551616",
                                                       "1e400",
                                                       "1e-5",
                                                       "0.5",
                                                       "-0"};

struct Stretch {
  size_t begin;
  size_t size;
};

// From a random mark to one of the next eight.
Stretch random_stretch(std::string_view text, Rng& rng) {
  size_t begin = text.find_first_of(kMarks, rng.below(text.size()));
  if (begin == std::string_view::npos) begin = rng.below(text.size());
  size_t end = begin;
  for (uint64_t i = 1 + rng.below(8); i > 0 && end != std::string_view::npos; --i) {
    end = text.find_first_of(kMarks, end + 1);
  }
  return {begin, std::min(end, text.size()) - begin};
}

void replace_number(std::string& text, Rng& rng) {
  size_t begin = text.find_first_of(kDigits, rng.below(text.size()));
  if (begin == std::string::npos) begin = text.find_first_of(kDigits);
  if (begin == std::string::npos) return;
  const size_t end = std::min(text.find_first_not_of(kDigits, begin), text.size());
  if (rng.below(3) == 0) {  // a neighbour
    text[end - 1] = kDigits[rng.below(kDigits.size())];
  } else {
    text.replace(begin, end - begin, kNumbers[rng.below(kNumbers.size())]);
  }
}

void mutate_once(std::string& text, Rng& rng) {
  const Stretch stretch = random_stretch(text, rng);
  const std::string copy = text.substr(stretch.begin, stretch.size);
  switch (rng.below(6)) {
    case 0:
      text.erase(stretch.begin, stretch.size);
      break;
    case 1:
      text.insert(stretch.begin, copy);
      break;
    case 2:
      text.insert(random_stretch(text, rng).begin, copy);
      break;
    case 3: {
      const Stretch other = random_stretch(text, rng);
      text.replace(other.begin, other.size, copy);
      break;
    }
    default:
      replace_number(text, rng);
  }
}

}  // namespace

std::string mutated_text(std::string_view text, uint64_t seed, size_t max_size) {
  Rng rng(seed);
  std::string result(text);
  for (uint64_t i = 1 + rng.below(3); i > 0 && !result.empty(); --i) mutate_once(result, rng);
  if (result.size() > max_size) result.resize(max_size);
  return result;
}

}  // namespace noregret::fuzz
