#include "tests/reward/plugins/descriptor.h"

EXPORT_WITH(plugin.major = NOREGRET_ABI_MAJOR + 1)
