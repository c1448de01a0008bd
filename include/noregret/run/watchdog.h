#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "noregret/base/clock.h"

namespace noregret {

// Watches, from a thread of its own, that a run gets on.
class Watchdog {
 public:
  // `seconds` since the last progress in `phase`. First after the limit, with `is_over` false, once a stall; then after
  // twice the limit, with `is_over` true: the run will not get on by itself. Called on the watchdog's thread.
  using OnStall = std::function<void(const std::string& phase, double seconds, bool is_over)>;
  Watchdog(double limit_s, OnStall on_stall);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // What the run does now: "step 4 rollout: scoring 12/64". The same text again is no progress.
  void beat(const std::string& phase);

 private:
  void watch();

  const double limit_s_;
  const OnStall on_stall_;
  std::mutex mutex_;
  std::condition_variable has_ended_;
  bool is_ended_ = false;
  std::string phase_ = "start";
  Stopwatch since_;
  int num_told_ = 0;  // of this stall
  std::thread thread_;
};

}  // namespace noregret
