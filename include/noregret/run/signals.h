#pragma once

#include <string>

namespace noregret {

// While it lives, SIGINT and SIGTERM are remembered instead of ending the process; a second one ends it at once.
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  bool is_stop_requested() const;
  // Throws InterruptedError when a stop was requested. Called between steps and while completions are sampled.
  void check() const;
};

}  // namespace noregret
