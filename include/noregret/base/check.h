#pragma once

#include "noregret/base/text.h"

namespace noregret::internal {
// Throws std::logic_error: a bug of ours, exit code 70.
[[noreturn]] void check_failed(const char* file, int line, const char* expression, const std::string& message);
}  // namespace noregret::internal

// On in every build. The rest of the arguments is printed by cat(); give both values of a comparison.
#define NOREGRET_CHECK(condition, ...)                                                    \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      ::noregret::internal::check_failed(__FILE__, __LINE__, #condition,                  \
                                         ::noregret::cat("" __VA_OPT__(, ) __VA_ARGS__)); \
    }                                                                                     \
  } while (false)
