#pragma once

#include <cstdint>
#include <cstdlib>

namespace noregret {

// A test's count: the sample that the suite takes, or the whole with NOREGRET_SOAK=1 (make soak).
inline int64_t soak_count(int64_t sample, int64_t whole) {
  return std::getenv("NOREGRET_SOAK") == nullptr ? sample : whole;
}

}  // namespace noregret
