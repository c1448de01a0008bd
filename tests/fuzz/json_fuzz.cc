#include "noregret/base/json.h"
#include "tests/fuzz/fuzz.h"

namespace noregret::fuzz {

// What is read prints as text that reads to the same value.
bool json(std::string_view input) {
  return goes_through([&] {
    const Json value = parse_json(input, "x.json");
    const std::string text = dump_json(value);
    NOREGRET_CHECK(text.find('\n') == std::string::npos, text);
    NOREGRET_CHECK(parse_json(text, "again") == value, text);
  });
}

}  // namespace noregret::fuzz
