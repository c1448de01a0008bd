#include "tests/reward/plugins/descriptor.h"

// With a C++ runtime of its own linked in: its exceptions pass through no catch of the host.
namespace {
void throwing_score(void*, const noregret_item*, size_t, noregret_result*) { throw std::runtime_error("nobody hears"); }
}  // namespace

EXPORT_WITH(plugin.score = throwing_score; plugin.name = "static_throw")
