#include "tests/reward/plugins/descriptor.h"

EXPORT_WITH(throw std::runtime_error("not today"))
