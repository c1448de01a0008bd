#include "envs/common/marked_number.h"

#include <charconv>

#include "envs/common/answer_episode.h"

namespace noregret {

std::optional<int64_t> marked_number(const Turn& turn) {
  std::optional<std::string> number = answer_of(turn);
  if (!number) return std::nullopt;
  if (number->ends_with('.')) number->pop_back();
  const size_t num_digits = number->size() - (number->starts_with('-') ? 1 : 0);
  if (num_digits == 0 || num_digits > 9) return std::nullopt;
  int64_t value = 0;
  const char* const end = number->data() + number->size();
  const auto [stop, error] = std::from_chars(number->data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace noregret
