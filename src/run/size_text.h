#pragma once

#include <cstdio>
#include <string>

namespace noregret {

// "1.203 GB"
inline std::string gigabytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f GB", bytes / 1e9);
  return text;
}

}  // namespace noregret
