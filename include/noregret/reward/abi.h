/* The border between noregret and a reward plugin: C11 or C++, no link to noregret.
 *
 * A plugin is a shared library that exports one function, noregret_plugin_query. The host calls it, checks what it
 * returns, then calls create once for each use in a config, score with batches of items, and destroy. The library is
 * never unloaded.
 *
 * Compatibility. The host refuses a plugin of another major version. Within one, structs only grow at their end:
 *   - `size` is how many bytes the maker of the struct knows of. Read a later field only where NOREGRET_HAS allows it.
 *   - In an array, `size` of the first element is the distance to the next: step with noregret_item_at and its like.
 * So a plugin works, as it was compiled, with earlier and later hosts of its major version.
 *
 * Memory. All memory is the host's, but for the descriptor and `self`. Text is UTF-8, a pointer that is never null and
 * a length, without a zero at its end, and is borrowed: it ends with the call. What a plugin returns it writes into
 * buffers that the host lends it, never beyond their capacity. Nothing is allocated on one side and freed on the other.
 *
 * No exception, longjmp or exit() may leave a function of the plugin. noregret/reward/sdk.h sees to that in C++.
 */
#ifndef NOREGRET_REWARD_ABI_H
#define NOREGRET_REWARD_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define NOREGRET_EXPORT extern "C" __attribute__((visibility("default")))
extern "C" {
#else
#define NOREGRET_EXPORT __attribute__((visibility("default")))
#endif

#define NOREGRET_PLUGIN_MAGIC 0x3157524eu /* "NRW1" in little-endian memory */
#define NOREGRET_ABI_MAJOR 1u
#define NOREGRET_ABI_MINOR 0u

#define NOREGRET_NAME_CAPACITY 48u /* a plugin's or a part's name: 1 to 48 of A-Z a-z 0-9 _ . - */

/* Is the field there, whatever version the other side was compiled with? */
#define NOREGRET_HAS(pointer, type, field) ((pointer)->size >= offsetof(type, field) + sizeof(((type*)0)->field))

/* noregret_plugin.flags */
enum {
  NOREGRET_DETERMINISTIC = 1, /* equal items give equal results */
  NOREGRET_THREAD_SAFE = 2    /* score may run in several threads on one `self`; without it the host takes turns */
};

/* noregret_result.status. The host treats a value that it does not know as failed. */
enum {
  NOREGRET_UNSET = 0, /* what the host writes before the call; left there, the item counts as failed */
  NOREGRET_OK = 1,    /* `reward` is the verdict; "no answer" and "wrong" are verdicts too */
  NOREGRET_FAILED = 2 /* no verdict: `error` says why. The sample is masked; a failure is never a number */
};

/* One completion to judge. */
typedef struct noregret_item {
  uint32_t size;
  uint32_t reserved; /* 0 */
  const char* id;    /* names the item in messages */
  size_t id_size;
  const char* prompt; /* as the model read it */
  size_t prompt_size;
  const char* completion; /* what the model wrote, without control tokens */
  size_t completion_size;
  const char* reference; /* the gold answer; may be empty */
  size_t reference_size;
  const char* metadata_json; /* a JSON object: what else the task says of the item */
  size_t metadata_json_size;
  const char* finish_reason; /* "stop"; with "length", "abort" and others the completion may be cut anywhere */
  size_t finish_reason_size;
} noregret_item;

/* A named number beside the reward, for metrics. */
typedef struct noregret_part {
  uint32_t size;      /* the host's; leave it */
  uint32_t name_size; /* bytes of `name` in use */
  double value;       /* finite */
  char name[NOREGRET_NAME_CAPACITY];
} noregret_part;

/* One verdict. The host sets all fields, `status` to NOREGRET_UNSET; the plugin writes status, reward, error_size and
 * num_parts, and into the two buffers. It leaves the other fields as they are. */
typedef struct noregret_result {
  uint32_t size;
  uint32_t status;
  double reward; /* finite, in [min_reward, max_reward], or the item counts as failed */
  char* error;   /* UTF-8, one line; at least 256 bytes of capacity */
  size_t error_capacity;
  size_t error_size;    /* bytes written, 0 at first */
  noregret_part* parts; /* at least 16; names differ */
  size_t parts_capacity;
  size_t num_parts; /* parts written, 0 at first */
} noregret_result;

/* Where create says what is wrong with the options. */
typedef struct noregret_error {
  uint32_t size;
  uint32_t reserved; /* 0 */
  char* text;        /* UTF-8, one line; at least 256 bytes of capacity */
  size_t capacity;
  size_t text_size; /* bytes written, 0 at first */
} noregret_error;

/* What a plugin is, for as long as the library lives. The first four fields have their places in all major versions. */
typedef struct noregret_plugin {
  uint32_t size;  /* sizeof(noregret_plugin) */
  uint32_t magic; /* NOREGRET_PLUGIN_MAGIC */
  uint32_t major; /* NOREGRET_ABI_MAJOR, NOREGRET_ABI_MINOR of the header that the plugin was compiled with */
  uint32_t minor;
  const char* name; /* zero-terminated */
  uint32_t flags;
  uint32_t reserved; /* 0 */
  double min_reward; /* finite, min <= max */
  double max_reward; /* what a right answer gets: evaluations count those as solved */

  /* options_json is an object, "{}" by default. Returns what score is given as `self`, not null; or null with the
   * reason in `error`. An option that the plugin does not know is an error: a misspelt one must not pass in silence. */
  void* (*create)(const char* options_json, size_t options_json_size, noregret_error* error);
  /* One result an item, in the same order. Items are independent: a verdict depends on its item alone. */
  void (*score)(void* self, const noregret_item* items, size_t num_items, noregret_result* results);
  void (*destroy)(void* self);
} noregret_plugin;

/* The exported function, `NOREGRET_EXPORT const noregret_plugin* noregret_plugin_query(uint32_t host_major)`: returns
 * null where the plugin does not speak the host's major version. */
typedef const noregret_plugin* (*noregret_plugin_query_fn)(uint32_t host_major);
#define NOREGRET_PLUGIN_QUERY "noregret_plugin_query"

static inline const noregret_item* noregret_item_at(const noregret_item* items, size_t i) {
  return (const noregret_item*)((const char*)items + i * items->size);
}

static inline noregret_result* noregret_result_at(noregret_result* results, size_t i) {
  return (noregret_result*)((char*)results + i * results->size);
}

static inline noregret_part* noregret_part_at(noregret_part* parts, size_t i) {
  return (noregret_part*)((char*)parts + i * parts->size);
}

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
