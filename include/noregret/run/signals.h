#pragma once

#include <string>

namespace noregret {

// While it lives, SIGINT and SIGTERM are remembered instead of ending the process, and a second one ends it at once;
// SIGUSR1 asks for a checkpoint; a file beyond the size limit (SIGXFSZ) is an error of write(2).
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  bool is_stop_requested() const;
  // All is done and saved: from now on, and after its life, SIGINT and SIGTERM are ignored.
  void finish();
  bool take_save_request() const;  // whether SIGUSR1 came since the last call
  // Throws InterruptedError when a stop was requested. Called between steps and while completions are sampled.
  void check() const;

 private:
  bool is_finished_ = false;
};

}  // namespace noregret
