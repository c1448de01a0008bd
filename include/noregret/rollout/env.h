#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/fields.h"
#include "noregret/base/json.h"
#include "noregret/text/chat.h"

namespace noregret {

// One problem. In RL and evaluation the messages are the prompt and rewards see the rest; in SFT the demonstration is
// the target.
struct Task {
  std::string id;  // unique in its source: "word_problems/train/17", "gsm8k/test/3"
  std::vector<Message> messages;
  std::string reference;           // the gold answer
  Json metadata = Json::object();  // what rewards may want to know
  std::optional<std::string> demonstration;
};

enum class Split { kTrain, kEval };

// Tasks as a pure function of (options, seed, split, index).
class TaskSource {
 public:
  virtual ~TaskSource() = default;
  virtual int64_t size(Split split) const = 0;             // kEndless for procedural tasks
  virtual Task get(Split split, int64_t index) const = 0;  // index in [0, size)
  virtual std::string digest() const = 0;                  // of the data, or of the options of a procedural task
  static constexpr int64_t kEndless = INT64_MAX;
};

// A row of envs/registry.cc: how a task is made from the config's `task:` map. `make` reads its own keys, then calls
// finish().
struct EnvEntry {
  const char* name;
  const char* summary;
  std::unique_ptr<TaskSource> (*make)(FieldReader& reader, uint64_t seed);
};

}  // namespace noregret
