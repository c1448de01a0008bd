#pragma once

#include <string>

#include "noregret/base/clock.h"

namespace noregret {

// "1h 02m 05s", "2m 05s", "5.2s"
std::string duration_text(double seconds);

// How long a loop will still take, from the pace since the first call of update().
class Eta {
 public:
  // Amounts done so far and in all. "1.32s each, 2m 05s left"; before a pace is known, at the first call, "".
  std::string update(double done, double total);

 private:
  Stopwatch since_;
  bool has_start_ = false;
  double start_done_ = 0.0;
  double start_seconds_ = 0.0;
};

}  // namespace noregret
