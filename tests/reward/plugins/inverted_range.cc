#include "tests/reward/plugins/descriptor.h"

EXPORT_WITH(plugin.min_reward = 2.0)
