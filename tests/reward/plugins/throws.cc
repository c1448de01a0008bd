#include "tests/reward/plugins/descriptor.h"

// Lets exceptions out of score: the first item's completion says which.
namespace {
void throwing_score(void* self, const noregret_item* items, size_t num_items, noregret_result* results) {
  score(self, items, num_items, results);
  if (items->completion_size == 0) return;
  if (items->completion[0] == 'i') throw 7;
  throw std::runtime_error("out of\nluck");
}
}  // namespace

EXPORT_WITH(plugin.score = throwing_score)
