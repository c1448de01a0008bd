#pragma once

#include <string>

#include "noregret/base/rng.h"
#include "noregret/rollout/env.h"

namespace noregret {

// Tasks without end that are drawn when they are asked for. A question belongs to one split whatever the seed: by a
// hash of its text, one in ten is held out.
class ProceduralTasks : public TaskSource {
 public:
  int64_t size(Split) const final { return kEndless; }
  // Throws ConfigError where the options leave so few questions that the split has none.
  Task get(Split split, int64_t index) const final;
  std::string digest() const final { return digest_; }

 protected:
  // `name` begins the ids. `options` are all of the task's, for the digest. `instruction` follows each question on a
  // line of its own; empty = none.
  ProceduralTasks(std::string name, const Json& options, std::string instruction, uint64_t seed);

  // A task without its id; its one message is the question. `other` is for what the question does not depend on.
  virtual Task draw(Rng question, Rng other) const = 0;

 private:
  std::string name_;
  std::string digest_;
  std::string instruction_;
  uint64_t seed_;
};

// A number for a text, evenly spread in [0, 1), the same on every machine.
double spread(const std::string& text);

// Is a question with this text held out?
bool is_held_out(const std::string& question);

// One of the items.
template <class T, size_t N>
const T& pick(const T (&items)[N], Rng& rng) {
  return items[rng.below(N)];
}

// An integer in [low, high].
inline int64_t draw_int(Rng& rng, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(rng.below(static_cast<uint64_t>(high - low + 1)));
}

}  // namespace noregret
