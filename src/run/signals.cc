#include "noregret/run/signals.h"

#include <csignal>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t g_signal = 0;
volatile std::sig_atomic_t g_is_save_requested = 0;

void remember(int signal) {
  g_signal = signal;
  std::signal(signal, SIG_DFL);  // the next one ends the process
}

void remember_save(int) { g_is_save_requested = 1; }

}  // namespace

SignalGuard::SignalGuard() {
  g_signal = 0;
  g_is_save_requested = 0;
  std::signal(SIGUSR1, remember_save);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGINT, remember);
  std::signal(SIGTERM, remember);
}

SignalGuard::~SignalGuard() {
  if (!is_finished_) {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
  }
  std::signal(SIGUSR1, SIG_DFL);
  std::signal(SIGXFSZ, SIG_DFL);
}

void SignalGuard::finish() {
  is_finished_ = true;
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
}

bool SignalGuard::take_save_request() const {
  if (g_is_save_requested == 0) return false;
  g_is_save_requested = 0;
  return true;
}

bool SignalGuard::is_stop_requested() const { return g_signal != 0; }

void SignalGuard::check() const {
  if (g_signal != 0) throw InterruptedError(cat("stopped by signal ", static_cast<int>(g_signal)));
}

}  // namespace noregret
