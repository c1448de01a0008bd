#include "tests/reward/plugins/descriptor.h"

// A plugin of a later minor version: the descriptor has grown at its end.
namespace {
struct LaterPlugin {
  noregret_plugin plugin;
  void (*later_function)();
};
}  // namespace

NOREGRET_EXPORT const noregret_plugin* noregret_plugin_query(uint32_t /*host_major*/) {
  static LaterPlugin later{sound_plugin(), nullptr};
  later.plugin.size = sizeof(LaterPlugin);
  later.plugin.minor = NOREGRET_ABI_MINOR + 1;
  later.plugin.name = "newer_minor";
  return &later.plugin;
}
