#include "envs/common/procedural.h"

#include "envs/common/task_list.h"
#include "noregret/base/check.h"
#include "noregret/base/file.h"

namespace noregret {
namespace {

// 64 bits of which the high half is well mixed.
uint64_t fnv1a(const std::string& text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

}  // namespace

ProceduralTasks::ProceduralTasks(std::string name, const Json& options, std::string instruction, uint64_t seed)
    : name_(std::move(name)),
      digest_(sha256_hex(cat(name_, " 1 ", dump_json(options)))),
      instruction_(std::move(instruction)),
      seed_(seed) {}

Task ProceduralTasks::get(Split split, int64_t index) const {
  constexpr uint64_t kMaxAttempts = 10000;  // with a tenth of the questions held out, 1000 fail once in 10^45
  NOREGRET_CHECK(index >= 0, "task ", index);
  const bool is_eval = split == Split::kEval;
  for (uint64_t attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const auto stream = [&](uint64_t use) {
      return Rng::stream(seed_, Purpose::kTask, {is_eval, static_cast<uint64_t>(index), attempt, use});
    };
    Task task = draw(stream(0), stream(1));
    std::string& question = task.messages.at(0).content;
    if (is_held_out(question) != is_eval) continue;
    task.id = cat(name_, "/", split_name(split), "/", index);
    question = with_instruction(question, instruction_);
    return task;
  }
  throw ConfigError(cat("task ", name_, ": its options leave too few questions, none for the split '",
                        split_name(split), "'; raise its level or its largest number"));
}

double spread(const std::string& text) { return static_cast<double>(fnv1a(text) >> 32) / 4294967296.0; }

bool is_held_out(const std::string& question) { return (fnv1a(question) >> 32) % 10 == 0; }

}  // namespace noregret
