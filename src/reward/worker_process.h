#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/child_process.h"
#include "noregret/base/clock.h"
#include "noregret/base/descriptor.h"
#include "noregret/base/error.h"
#include "reward/message.h"
#include "reward/output_log.h"

namespace noregret {

struct WorkerSetup {
  std::string label;  // "reward plugin exact_match": begins messages
  std::string program;
  std::vector<std::string> args;
  std::vector<std::string> environment;
  std::string options_json;
  double timeout_s = 10.0;
  bool wants_namespace = true;
  OutputLog* log = nullptr;
};

// The process did not come up: what() says why, without its label.
class WorkerStartError : public Error {
 public:
  explicit WorkerStartError(const std::string& why) : Error(ExitCode::kInternal, why) {}
};

// A process that judges items, one at a time, over descriptor 3. Whatever goes wrong ends it. For one thread; the
// process dies when that thread does.
class WorkerProcess {
 public:
  explicit WorkerProcess(const WorkerSetup& setup) : setup_(setup) {}

  // Throws ConfigError with the plugin's own words where it refuses, WorkerStartError.
  ScorerInfo start(double seconds, const CancelFlag* cancel);
  bool is_running() const { return process_ != nullptr; }
  ComponentScore ask(const ScoreItem& item, const ScorerInfo& info, const CancelFlag* cancel);
  void stop();

 private:
  struct Reply {
    FailureKind kind = FailureKind::kNone;
    std::string error;
    Json value;
  };
  // Sends the message, with a fresh nonce, and waits for the line that answers it.
  Reply exchange(Json message, double seconds, const CancelFlag* cancel);
  // False when the other side has closed.
  bool send_some(std::string& outbox) const;
  bool receive_some();
  void take_output();
  Reply read_line(std::string_view line, const std::string& nonce) const;
  Reply ended();
  std::string with_last_words(const std::string& why) const;

  const WorkerSetup& setup_;
  std::unique_ptr<ChildProcess> process_;
  std::optional<OutputLines> lines_;
  Descriptor channel_;
  Descriptor output_;
  std::string inbox_;
};

}  // namespace noregret
