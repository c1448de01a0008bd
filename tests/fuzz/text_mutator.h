#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace noregret::fuzz {

// Changes a text by what it is made of: a number becomes another one at some border, a stretch between two marks
// ({}[],:"\n and blanks) is removed, doubled, or put in another place. Flipped bytes seldom pass the outermost syntax.
std::string mutated_text(std::string_view text, uint64_t seed, size_t max_size);

}  // namespace noregret::fuzz
