#include "noregret/reward/abi.h"

NOREGRET_EXPORT const noregret_plugin* noregret_plugin_query(uint32_t /*host_major*/) { return nullptr; }
