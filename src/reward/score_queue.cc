#include "noregret/reward/score_queue.h"

#include <chrono>
#include <exception>
#include <utility>

#include "noregret/base/error.h"

namespace noregret {
namespace {

// Calls of the rubric at a time: one that waits for its deadline does not hold the rest up.
constexpr size_t kNumThreads = 4;
constexpr auto kTick = std::chrono::milliseconds(100);

}  // namespace

ScoreQueue::ScoreQueue(const Rubric& rubric, size_t num_items) : rubric_(rubric), results_(num_items) {
  for (size_t i = 0; i < kNumThreads; ++i) threads_.emplace_back([this] { work(); });
}

ScoreQueue::~ScoreQueue() {
  {
    const std::scoped_lock lock(mutex_);
    is_closed_ = true;
    open_.clear();
  }
  has_news_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ScoreQueue::add(size_t index, ScoreItem item) {
  {
    const std::scoped_lock lock(mutex_);
    open_.push_back(Entry{index, std::move(item)});
  }
  has_news_.notify_all();
}

std::vector<RubricResult> ScoreQueue::finish(const ScoreTick& tick) {
  std::unique_lock lock(mutex_);
  const auto is_done = [this] { return failure_ || (open_.empty() && num_running_ == 0); };
  while (!has_news_.wait_for(lock, kTick, is_done)) {
    lock.unlock();
    if (tick) tick();
    lock.lock();
  }
  if (failure_) std::rethrow_exception(failure_);
  return std::move(results_);
}

void ScoreQueue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    has_news_.wait(lock, [this] { return is_closed_ || !open_.empty(); });
    if (is_closed_) return;
    const std::vector<Entry> some = std::exchange(open_, {});
    ++num_running_;
    lock.unlock();
    std::vector<ScoreItem> items;
    for (const Entry& entry : some) items.push_back(entry.item);
    std::vector<RubricResult> scored;
    std::exception_ptr failure;
    try {
      scored = rubric_.score(items, [this] {
        const std::scoped_lock closing(mutex_);
        if (is_closed_) throw InterruptedError("the scores are no longer wanted");
      });
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (failure) failure_ = failure;
    for (size_t i = 0; i < scored.size(); ++i) results_[some[i].index] = std::move(scored[i]);
    --num_running_;
    has_news_.notify_all();
  }
}

}  // namespace noregret
