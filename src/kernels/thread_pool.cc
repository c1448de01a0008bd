#include "noregret/kernels/thread_pool.h"

#include <immintrin.h>

#include <algorithm>

#include "noregret/base/check.h"

namespace noregret::kernels {
namespace {

constexpr int64_t kMaxTasks = 65535;  // of one ticket
constexpr int kSpins = 2000;          // some 30 microseconds

uint64_t next_of(uint64_t ticket) { return ticket & 0xffff; }
uint64_t count_of(uint64_t ticket) { return ticket >> 16 & 0xffff; }
bool has_task(uint64_t ticket) { return next_of(ticket) < count_of(ticket); }

}  // namespace

void wait_until_zero(const std::atomic<int64_t>& count) {
  for (int spins = 0; count > 0; ++spins) {
    if (spins < kSpins) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

ThreadPool::ThreadPool(int num_threads) {
  NOREGRET_CHECK(num_threads >= 1, num_threads);
  for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  is_closing_ = true;
  ++wake_up_;
  wake_up_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_erased(int64_t num_tasks, const Erased& task) {
  if (num_tasks == 1 || workers_.empty()) {
    for (int64_t i = 0; i < num_tasks; ++i) task.call(task.task, i);
    return;
  }
  for (int64_t first = 0; first < num_tasks; first += kMaxTasks) {
    const int64_t count = std::min(kMaxTasks, num_tasks - first);
    task_ = &task;
    first_task_ = first;
    num_open_ = count;
    const uint64_t generation = (ticket_ >> 32) + 1;
    ticket_ = generation << 32 | static_cast<uint64_t>(count) << 16;
    if (num_sleeping_ > 0) {
      ++wake_up_;
      wake_up_.notify_all();
    }
    take_tasks();
    wait_until_zero(num_open_);
  }
}

// Tasks until none is left; whether there was one. They are counted as done together: until then their job stays.
bool ThreadPool::take_tasks() {
  int64_t num_done = 0;
  uint64_t ticket = ticket_;
  while (has_task(ticket)) {
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1)) continue;
    const Erased& task = *task_.load();
    task.call(task.task, first_task_ + static_cast<int64_t>(next_of(ticket)));
    ++num_done;
    ticket = ticket_;
  }
  if (num_done > 0) num_open_ -= num_done;
  return num_done > 0;
}

void ThreadPool::work() {
  while (!is_closing_) {
    if (take_tasks()) continue;
    for (int spins = 0; spins < kSpins && !has_task(ticket_); ++spins) _mm_pause();
    if (has_task(ticket_)) continue;
    ++num_sleeping_;
    const uint32_t seen = wake_up_;
    if (!has_task(ticket_) && !is_closing_) wake_up_.wait(seen);
    --num_sleeping_;
  }
}

}  // namespace noregret::kernels
