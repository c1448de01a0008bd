#pragma once

#include <cstdint>
#include <deque>

#include "noregret/base/json.h"

namespace noregret {

// The share of completions without a reward over the last steps of a run.
class FailureWatch {
 public:
  FailureWatch(double max_share, int64_t num_steps) : max_share_(max_share), num_steps_(num_steps) {}

  void add(int64_t num_failed, int64_t num_completions);  // of one step, all of which have as many completions
  // More than the share failed, or did already even if all that the window has room for will be scored.
  bool is_passed() const;
  int64_t num_failed() const;

  Json state() const;
  void restore(const Json& state);

 private:
  double max_share_;
  int64_t num_steps_;
  int64_t num_completions_ = 0;  // a step
  std::deque<int64_t> failed_;   // a step, oldest first
};

}  // namespace noregret
