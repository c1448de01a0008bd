#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "noregret/reward/rubric.h"

namespace noregret {

// Judges completions while others are still being sampled. add() returns at once; a few threads of its own hand what
// has gathered to the rubric.
class ScoreQueue {
 public:
  // `rubric` is borrowed. Item i of finish()'s results is the one that was added with that index.
  ScoreQueue(const Rubric& rubric, size_t num_items);
  // Calls off what is open.
  ~ScoreQueue();
  ScoreQueue(const ScoreQueue&) = delete;
  ScoreQueue& operator=(const ScoreQueue&) = delete;

  void add(size_t index, ScoreItem item);
  // Waits for all that was added. `tick` as in Rubric::score.
  std::vector<RubricResult> finish(const ScoreTick& tick = {});

 private:
  struct Entry {
    size_t index;
    ScoreItem item;
  };
  void work();

  const Rubric& rubric_;
  std::vector<RubricResult> results_;
  std::mutex mutex_;
  std::condition_variable has_news_;
  std::vector<Entry> open_;
  size_t num_running_ = 0;
  bool is_closed_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

}  // namespace noregret
