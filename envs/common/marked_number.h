#pragma once

#include <cstdint>
#include <optional>

#include "noregret/rollout/env.h"

namespace noregret {

// The whole number that is the turn's answer (answer_episode.h), a final stop left out; nothing where it is anything
// else or has more than nine digits.
std::optional<int64_t> marked_number(const Turn& turn);

}  // namespace noregret
