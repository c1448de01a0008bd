#include "tests/reward/plugins/descriptor.h"

extern "C" int function_that_no_library_has();

EXPORT_WITH(plugin.flags = static_cast<uint32_t>(function_that_no_library_has()))
