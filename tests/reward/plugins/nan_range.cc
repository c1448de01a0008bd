#include "tests/reward/plugins/descriptor.h"

EXPORT_WITH(plugin.max_reward = __builtin_nan(""))
