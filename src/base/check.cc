#include "noregret/base/check.h"

#include <stdexcept>

namespace noregret::internal {

void check_failed(const char* file, int line, const char* expression, const std::string& message) {
  throw std::logic_error(
      cat(file, ":", line, ": ", expression, " does not hold", message.empty() ? "" : ": ", message));
}

}  // namespace noregret::internal
