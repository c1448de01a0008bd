#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace noregret::kernels {

// Threads that share out numbered tasks. A task's result may depend on its number alone. The calling thread works too
// and waits only for tasks that a worker has begun, so a worker that the system does not run holds nobody up. Workers
// look out for work for some microseconds, then sleep.
class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);  // the caller's included, >= 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }
  // Calls task(0) .. task(num_tasks - 1), each once. Not reentrant; tasks throw nothing.
  template <class Task>
  void run(int64_t num_tasks, const Task& task) {
    run_erased(num_tasks, {&task, [](const void* t, int64_t i) { (*static_cast<const Task*>(t))(i); }});
  }

 private:
  struct Erased {
    const void* task;
    void (*call)(const void* task, int64_t i);
  };
  void run_erased(int64_t num_tasks, const Erased& task);
  void work();
  bool take_tasks();

  static constexpr size_t kLine = 64;  // of the cache: the ticket is looked at while the job is written

  // generation (32 bits) | number of tasks (16) | next task (16), in one word: whoever moves `next` on holds a task of
  // that generation, and the job stays as it is until that task is done.
  alignas(kLine) std::atomic<uint64_t> ticket_{0};
  alignas(kLine) std::atomic<const Erased*> task_{nullptr};
  std::atomic<int64_t> first_task_{0};  // what is added to the ticket's numbers
  std::atomic<int64_t> num_open_{0};    // tasks of the job that are not done
  alignas(kLine) std::atomic<uint32_t> num_sleeping_{0};
  std::atomic<uint32_t> wake_up_{0};
  std::atomic<bool> is_closing_{false};
  std::vector<std::thread> workers_;
};

// For what other threads have begun: spins for some microseconds, then gives way to them.
void wait_until_zero(const std::atomic<int64_t>& count);

}  // namespace noregret::kernels
