#include "noregret/run/signals.h"

#include <csignal>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t g_signal = 0;

void remember(int signal) {
  g_signal = signal;
  std::signal(signal, SIG_DFL);  // the next one ends the process
}

}  // namespace

SignalGuard::SignalGuard() {
  g_signal = 0;
  std::signal(SIGINT, remember);
  std::signal(SIGTERM, remember);
}

SignalGuard::~SignalGuard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool SignalGuard::is_stop_requested() const { return g_signal != 0; }

void SignalGuard::check() const {
  if (g_signal != 0) throw InterruptedError(cat("stopped by signal ", static_cast<int>(g_signal)));
}

}  // namespace noregret
