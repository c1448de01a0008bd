#include "tests/reward/plugins/descriptor.h"

EXPORT_WITH(plugin.create = [](const char*, size_t, noregret_error*) -> void* { return nullptr; })
