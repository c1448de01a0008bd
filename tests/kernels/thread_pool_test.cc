#include "noregret/kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace noregret::kernels {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Runs a job whose tasks count themselves without atomics: each has a place of its own.
void expect_each_task_once(ThreadPool& pool, int64_t num_tasks) {
  std::vector<int> counts(static_cast<size_t>(num_tasks), 0);
  pool.run(num_tasks, [&](int64_t i) { ++counts.at(static_cast<size_t>(i)); });
  for (int64_t i = 0; i < num_tasks; ++i) ASSERT_EQ(counts[i], 1) << "task " << i << " of " << num_tasks;
}

TEST(ThreadPool, RunsEachTaskOnce) {
  for (const int num_threads : {1, 2, 3, 4}) {
    ThreadPool pool(num_threads);
    EXPECT_EQ(pool.num_threads(), num_threads);
    // A ticket holds 65535 tasks: sizes on both sides of one and of two tickets.
    for (const int64_t num_tasks : {0, 1, 2, 3, 100, 65534, 65535, 65536, 70000, 131070, 131071})
      expect_each_task_once(pool, num_tasks);
  }
}

TEST(ThreadPool, RunsManyShortJobs) {
  for (const int num_threads : {2, 3, 4}) {
    ThreadPool pool(num_threads);
    for (int64_t job = 0; job < 20000; ++job) expect_each_task_once(pool, job % 7);
  }
}

TEST(ThreadPool, WritesOfTasksAreSeenByTheNextJob) {
  ThreadPool pool(3);
  constexpr int64_t kSize = 64;
  std::vector<int64_t> values(kSize, 0);
  constexpr int64_t kNumJobs = 5000;
  for (int64_t job = 0; job < kNumJobs; ++job) {
    // Each task reads what another task wrote in the job before, which another thread may have run.
    std::vector<int64_t> next(kSize);
    pool.run(kSize, [&](int64_t i) { next[i] = values[(i + 1) % kSize] + 1; });
    values = next;
  }
  for (const int64_t value : values) ASSERT_EQ(value, kNumJobs);
}

TEST(ThreadPool, WorksAfterItsThreadsHaveSlept) {
  ThreadPool pool(4);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(milliseconds(5));  // workers look out for work for well below 1 ms
    for (const int64_t num_tasks : {2, 100, 0, 5}) expect_each_task_once(pool, num_tasks);
  }
}

// A pause that varies around the moment at which workers fall asleep, where a wake-up could be lost.
TEST(ThreadPool, WorksWhileItsThreadsFallAsleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 2000; ++round) {
    const auto end = steady_clock::now() + std::chrono::microseconds(round % 200);
    while (steady_clock::now() < end) {
    }
    expect_each_task_once(pool, 3);
  }
}

TEST(ThreadPool, ASlowTaskHoldsUpNoOther) {
  for (const int num_threads : {2, 3}) {
    ThreadPool pool(num_threads);
    for (const int64_t slow : {0, 1, 9}) {
      std::this_thread::sleep_for(milliseconds(2));  // asleep: the worker has to be woken
      std::atomic<int> num_others{0};
      std::atomic<bool> is_late{false};
      pool.run(10, [&](int64_t i) {
        if (i != slow) {
          ++num_others;
          return;
        }
        const auto deadline = steady_clock::now() + std::chrono::seconds(20);
        while (num_others < 9 && !is_late) {
          std::this_thread::yield();
          if (steady_clock::now() > deadline) is_late = true;
        }
      });
      EXPECT_FALSE(is_late) << num_others << " of 9 tasks ran beside the slow one";
    }
  }
}

TEST(ThreadPool, EndsAtAnyMoment) {
  for (int round = 0; round < 300; ++round) {
    auto pool = std::make_unique<ThreadPool>(1 + round % 4);
    if (round % 5 != 0) expect_each_task_once(*pool, round % 50);
    if (round % 20 == 0) std::this_thread::sleep_for(milliseconds(1));
    pool.reset();
  }
}

TEST(ThreadPool, PoolsWorkSideBySide) {
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([] {
      ThreadPool pool(2);
      for (int64_t job = 0; job < 2000; ++job) expect_each_task_once(pool, job % 20);
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(ThreadPool, NeedsOneThread) {
  EXPECT_THROW(ThreadPool(0), std::logic_error);
  EXPECT_THROW(ThreadPool(-1), std::logic_error);
}

}  // namespace
}  // namespace noregret::kernels
