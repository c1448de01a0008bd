#include "tests/reward/plugins/descriptor.h"

EXPORT_WITH(plugin.name = "two words")
