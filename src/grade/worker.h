#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "noregret/base/child_process.h"
#include "noregret/base/descriptor.h"
#include "noregret/grade/worker_protocol.h"

namespace noregret::math {

// A worker program and our end of its socket. One question at a time.
class Worker {
 public:
  explicit Worker(std::filesystem::path program) : program_(std::move(program)) {}

  enum class Status { kAnswered, kTimeout, kCrashed };
  struct Answer {
    Status status = Status::kCrashed;
    Outcome outcome;
  };
  // Starts the program where it does not run. The deadline counts from when the question is sent. A worker that is late
  // or dies is killed and waited for; the next question starts another. Throws IoError where it cannot be started.
  Answer ask(Question question);

 private:
  using Clock = std::chrono::steady_clock;
  void start();
  void stop();
  std::optional<Reply> receive(Clock::time_point deadline, Status& status) const;

  std::filesystem::path program_;
  std::unique_ptr<ChildProcess> process_;
  Descriptor socket_;
  uint32_t sequence_ = 0;
  int num_asked_ = 0;  // of this process
};

}  // namespace noregret::math
