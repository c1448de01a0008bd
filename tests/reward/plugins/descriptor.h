#pragma once

#include <stdexcept>

#include "noregret/reward/abi.h"

// A sound plugin that gives 0.5; the broken ones differ from it in one thing. Without the SDK, which would not let them
// be built.
namespace {

int self_stand_in = 0;

void* create(const char*, size_t, noregret_error*) { return &self_stand_in; }

void score(void*, const noregret_item*, size_t num_items, noregret_result* results) {
  for (size_t i = 0; i < num_items; ++i) {
    noregret_result_at(results, i)->reward = 0.5;
    noregret_result_at(results, i)->status = NOREGRET_OK;
  }
}

void destroy(void*) {}

noregret_plugin sound_plugin() {
  return {sizeof(noregret_plugin),
          NOREGRET_PLUGIN_MAGIC,
          NOREGRET_ABI_MAJOR,
          NOREGRET_ABI_MINOR,
          "broken",
          0,
          0,
          0.0,
          1.0,
          create,
          score,
          destroy};
}

}  // namespace

// Exports the sound plugin after `change`, a statement on `plugin`.
#define EXPORT_WITH(change)                                                               \
  NOREGRET_EXPORT const noregret_plugin* noregret_plugin_query(uint32_t /*host_major*/) { \
    static noregret_plugin plugin = sound_plugin();                                       \
    change;                                                                               \
    return &plugin;                                                                       \
  }
