#pragma once

#include <string>

#include "noregret/base/error.h"
#include "noregret/base/json_process.h"
#include "reward/message.h"

namespace noregret {

struct WorkerSetup {
  JsonProcessOptions process;  // whose label begins messages
  std::string options_json;
  double timeout_s = 10.0;
};

// The process did not come up: what() says why, without its label.
class WorkerStartError : public Error {
 public:
  explicit WorkerStartError(const std::string& why) : Error(ExitCode::kInternal, why) {}
};

// A process that judges items, one at a time. Whatever goes wrong ends it. For one thread; the process dies when that
// thread does.
class WorkerProcess {
 public:
  explicit WorkerProcess(const WorkerSetup& setup) : setup_(setup), process_(setup.process) {}

  // Throws ConfigError with the plugin's own words where it refuses, WorkerStartError.
  ScorerInfo start(double seconds, const CancelFlag* cancel);
  bool is_running() const { return process_.is_running(); }
  ComponentScore ask(const ScoreItem& item, const ScorerInfo& info, const CancelFlag* cancel);
  void stop() { process_.stop(); }

 private:
  const WorkerSetup& setup_;
  JsonProcess process_;
};

}  // namespace noregret
