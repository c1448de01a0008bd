#include <cstdlib>

#include "tests/reward/plugins/descriptor.h"

namespace {
struct Bad {
  Bad() { std::abort(); }
} bad;
}  // namespace

EXPORT_WITH(plugin.name = "crashes_at_load")
