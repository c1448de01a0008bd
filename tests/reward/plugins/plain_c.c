/* A plugin in C11 without any library: the share of the reference's length that the completion has, at most 1. */
#include <stdlib.h>
#include <string.h>

#include "noregret/reward/abi.h"

typedef struct {
  size_t num_calls;
} state;

static void put(char* buffer, size_t capacity, size_t* size, const char* text) {
  *size = strlen(text) < capacity ? strlen(text) : capacity;
  memcpy(buffer, text, *size);
}

static void* create(const char* options_json, size_t options_json_size, noregret_error* error) {
  if (options_json_size != 2 || memcmp(options_json, "{}", 2) != 0) {
    put(error->text, error->capacity, &error->text_size, "plain_c takes no options");
    return NULL;
  }
  return calloc(1, sizeof(state));
}

static void judge(const noregret_item* item, noregret_result* result) {
  if (item->reference_size == 0) {
    put(result->error, result->error_capacity, &result->error_size, "no reference to measure by");
    result->status = NOREGRET_FAILED;
    return;
  }
  const double share = (double)item->completion_size / (double)item->reference_size;
  noregret_part* part = noregret_part_at(result->parts, result->num_parts++);
  part->name_size = 5;
  memcpy(part->name, "share", 5);
  part->value = share;
  result->reward = share < 1.0 ? share : 1.0;
  result->status = NOREGRET_OK;
}

static void score(void* self, const noregret_item* items, size_t num_items, noregret_result* results) {
  ++((state*)self)->num_calls;
  for (size_t i = 0; i < num_items; ++i) judge(noregret_item_at(items, i), noregret_result_at(results, i));
}

static void destroy(void* self) { free(self); }

static const noregret_plugin plugin = {sizeof(noregret_plugin),
                                       NOREGRET_PLUGIN_MAGIC,
                                       NOREGRET_ABI_MAJOR,
                                       NOREGRET_ABI_MINOR,
                                       "plain_c",
                                       NOREGRET_DETERMINISTIC,
                                       0,
                                       0.0,
                                       1.0,
                                       create,
                                       score,
                                       destroy};

NOREGRET_EXPORT const noregret_plugin* noregret_plugin_query(uint32_t host_major) {
  return host_major == NOREGRET_ABI_MAJOR ? &plugin : NULL;
}
