#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "noregret/base/json_process.h"
#include "noregret/rollout/env.h"

namespace noregret {

// Processes of one program, each behind a thread that starts it when there is something to ask, and anew where it
// failed. Any number of threads may ask.
class ProgramPool {
 public:
  // `hello` opens each process; its answer is hello().
  ProgramPool(JsonProcessOptions options, Json hello, size_t num_workers, double timeout_s);
  ~ProgramPool();

  // What the program says of itself: one is started to hear it. Throws ConfigError: it does not start, or refuses.
  Json greet();
  // Throws EnvError. Once `cancel` (may be null) is true it returns soon, with a time-out.
  Json ask(const Json& message, const std::atomic<bool>* cancel);

 private:
  struct Job {
    const Json* message;  // null: what a new process says
    const std::atomic<bool>* cancel;
    JsonProcess::Reply reply;
    bool is_done = false;
  };
  void work();
  void run(Job& job);
  JsonProcess::Reply serve(JsonProcess& process, const Job& job) const;

  const JsonProcessOptions options_;
  const Json hello_;
  const double timeout_s_;
  std::mutex mutex_;
  std::condition_variable has_job_, is_done_;
  std::deque<Job*> jobs_;
  bool is_closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace noregret
