#pragma once

#include <algorithm>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "noregret/reward/abi.h"

// A reward plugin as a C++ class. Needs nothing but this header and abi.h: no library of ours.
//
//   struct Short {
//     static constexpr const char* kName = "short";
//     static constexpr double kMinReward = 0.0, kMaxReward = 1.0;  // the range that score() keeps to
//     static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;
//     noregret::sdk::Score score(const noregret::sdk::Item& item) const { return item.completion.size() < 100; }
//   };
//   NOREGRET_REWARD_PLUGIN(Short)
//
// A constructor from std::string_view is given the options, a JSON object (sdk_options.h reads it); else there are
// none. An exception from it refuses the options; one from score() makes that item failed. Its what() is the reason.
namespace noregret::sdk {

// Views into the host's memory: they end with the call.
struct Item {
  std::string_view id, prompt, completion, reference, metadata_json, finish_reason;
  bool is_truncated() const { return finish_reason != "stop"; }
};

struct Part {
  std::string name;
  double value;
};

struct Score {
  Score(double reward_in, std::vector<Part> parts_in = {}) : reward(reward_in), parts(std::move(parts_in)) {}
  double reward;
  std::vector<Part> parts;
};

// Copies what fits, cut between characters; returns the bytes written.
inline size_t put_text(std::string_view text, char* buffer, size_t capacity) {
  size_t size = std::min(text.size(), capacity);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  for (size_t i = 0; i < size; ++i) buffer[i] = text[i];
  return size;
}

inline void fail(noregret_result& result, std::string_view why) {
  result.status = NOREGRET_FAILED;
  result.error_size = put_text(why, result.error, result.error_capacity);
}

inline constexpr std::string_view kNoException = "threw something that is no std::exception";
// Runs `work`; an exception becomes status failed with its text.
template <class Work>
void guard(noregret_result& result, Work&& work) noexcept {
  try {
    work();
  } catch (const std::exception& e) {
    fail(result, e.what());
  } catch (...) {
    fail(result, kNoException);
  }
}

inline void put_score(noregret_result& result, const Score& score) {
  if (score.parts.size() > result.parts_capacity) throw std::length_error("more parts than the host takes");
  for (size_t i = 0; i < score.parts.size(); ++i) {
    noregret_part& part = *noregret_part_at(result.parts, i);
    const std::string& name = score.parts[i].name;
    if (name.size() > sizeof part.name) throw std::length_error("the part name '" + name + "' is too long");
    part.name_size = static_cast<uint32_t>(put_text(name, part.name, sizeof part.name));
    part.value = score.parts[i].value;
  }
  result.num_parts = score.parts.size();
  result.reward = score.reward;
  result.status = NOREGRET_OK;
}

inline Item view(const noregret_item& raw) {
  return {{raw.id, raw.id_size},
          {raw.prompt, raw.prompt_size},
          {raw.completion, raw.completion_size},
          {raw.reference, raw.reference_size},
          {raw.metadata_json, raw.metadata_json_size},
          {raw.finish_reason, raw.finish_reason_size}};
}

template <class Reward>
void* create(const char* options_json, size_t options_json_size, noregret_error* error) noexcept {
  try {
    const std::string_view options(options_json, options_json_size);
    if constexpr (std::constructible_from<Reward, std::string_view>) {
      return new Reward(options);
    } else {
      if (options != "{}") throw std::invalid_argument("it takes no options; leave `options` out");
      return new Reward();
    }
  } catch (const std::exception& e) {
    error->text_size = put_text(e.what(), error->text, error->capacity);
  } catch (...) {
    error->text_size = put_text(kNoException, error->text, error->capacity);
  }
  return nullptr;
}

template <class Reward>
void score(void* self, const noregret_item* items, size_t num_items, noregret_result* results) noexcept {
  constexpr bool has_const_score = requires(const Reward& reward, const Item& item) { Score(reward.score(item)); };
  static_assert(has_const_score || (Reward::kFlags & NOREGRET_THREAD_SAFE) == 0, "a thread-safe score() is const");
  for (size_t i = 0; i < num_items; ++i) {
    noregret_result& result = *noregret_result_at(results, i);
    guard(result, [&] { put_score(result, static_cast<Reward*>(self)->score(view(*noregret_item_at(items, i)))); });
  }
}

template <class Reward>
void destroy(void* self) noexcept {
  delete static_cast<Reward*>(self);
}

template <class Reward>
constexpr noregret_plugin describe() {
  noregret_plugin plugin{};
  plugin.size = sizeof plugin;
  plugin.magic = NOREGRET_PLUGIN_MAGIC;
  plugin.major = NOREGRET_ABI_MAJOR;
  plugin.minor = NOREGRET_ABI_MINOR;
  plugin.name = Reward::kName;
  plugin.flags = Reward::kFlags;
  plugin.min_reward = Reward::kMinReward;
  plugin.max_reward = Reward::kMaxReward;
  plugin.create = create<Reward>;
  plugin.score = score<Reward>;
  plugin.destroy = destroy<Reward>;
  return plugin;
}

}  // namespace noregret::sdk

// Not an inline variable: the loader would make those of two libraries with equal class names one.
#define NOREGRET_REWARD_PLUGIN(Reward)                                                \
  NOREGRET_EXPORT const noregret_plugin* noregret_plugin_query(uint32_t host_major) { \
    static constexpr noregret_plugin kPlugin = noregret::sdk::describe<Reward>();     \
    return host_major == NOREGRET_ABI_MAJOR ? &kPlugin : nullptr;                     \
  }
