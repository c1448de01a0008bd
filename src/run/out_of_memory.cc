#include "run/out_of_memory.h"

#include <cstring>
#include <new>

namespace noregret {

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  const char* text = error.what();
  return std::strstr(text, "out of memory") != nullptr || std::strstr(text, "can't allocate memory") != nullptr;
}

}  // namespace noregret
