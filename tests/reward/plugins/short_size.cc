#include "tests/reward/plugins/descriptor.h"

EXPORT_WITH(plugin.size = sizeof(noregret_plugin) - 8)
