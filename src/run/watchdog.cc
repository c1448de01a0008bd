#include "noregret/run/watchdog.h"

#include <algorithm>
#include <chrono>

namespace noregret {

Watchdog::Watchdog(double limit_s, OnStall on_stall)
    : limit_s_(limit_s), on_stall_(std::move(on_stall)), thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
  {
    const std::scoped_lock lock(mutex_);
    is_ended_ = true;
  }
  has_ended_.notify_all();
  thread_.join();
}

void Watchdog::beat(const std::string& phase) {
  const std::scoped_lock lock(mutex_);
  if (phase == phase_) return;
  phase_ = phase;
  since_ = Stopwatch();
  num_told_ = 0;
}

void Watchdog::watch() {
  const auto period = std::chrono::duration<double>(std::clamp(limit_s_ / 10, 0.001, 1.0));
  std::unique_lock lock(mutex_);
  while (!has_ended_.wait_for(lock, period, [this] { return is_ended_; })) {
    const double seconds = since_.seconds();
    if (seconds < limit_s_ * (num_told_ + 1) || num_told_ == 2) continue;
    ++num_told_;
    const std::string phase = phase_;
    const bool is_over = num_told_ == 2;
    lock.unlock();
    on_stall_(phase, seconds, is_over);
    lock.lock();
  }
}

}  // namespace noregret
