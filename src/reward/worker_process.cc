#include "reward/worker_process.h"

#include "noregret/base/clock.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

FailureKind kind_of(ProcessFault fault) {
  switch (fault) {
    case ProcessFault::kNone:
      return FailureKind::kNone;
    case ProcessFault::kTimeout:
      return FailureKind::kTimeout;
    case ProcessFault::kCrashed:
      return FailureKind::kCrashed;
    case ProcessFault::kProtocol:
      return FailureKind::kProtocol;
  }
  return FailureKind::kProtocol;
}

}  // namespace

ScorerInfo WorkerProcess::start(double seconds, const CancelFlag* cancel) {
  try {
    process_.start();
  } catch (const IoError& e) {
    throw WorkerStartError(e.what());
  }
  const JsonProcess::Reply reply = process_.ask(hello_message(setup_.options_json), seconds, cancel);
  if (reply.fault != ProcessFault::kNone) throw WorkerStartError(reply.error);
  try {
    if (reply.value.contains("error")) throw ConfigError(clean_line(json_string(reply.value, "error", "its answer")));
    return read_info(reply.value);
  } catch (const DataError& e) {
    stop();
    throw WorkerStartError(e.what());
  } catch (const ConfigError&) {
    stop();
    throw;
  }
}

ComponentScore WorkerProcess::ask(const ScoreItem& item, const ScorerInfo& info, const CancelFlag* cancel) {
  const Stopwatch working;
  const JsonProcess::Reply reply = process_.ask(items_message({&item, 1}), setup_.timeout_s, cancel);
  ComponentScore score = reply.fault == ProcessFault::kNone
                             ? read_results(reply.value, {&item, 1}, info.min_reward, info.max_reward).front()
                             : failed_score(kind_of(reply.fault), reply.error);
  score.seconds = working.seconds();
  return score;
}

}  // namespace noregret
