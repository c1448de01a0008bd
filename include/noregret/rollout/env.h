#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "noregret/base/fields.h"
#include "noregret/base/json.h"
#include "noregret/text/chat.h"

namespace noregret {

// One problem. In RL and evaluation the messages are the prompt and rewards see the rest; in SFT the demonstration is
// the target.
struct Task {
  std::string id;  // unique in its source: "word_problems/train/17", "gsm8k/test/3"
  std::vector<Message> messages;
  std::string reference;           // the gold answer
  Json metadata = Json::object();  // what rewards may want to know
  std::optional<std::string> demonstration;
};

enum class Split { kTrain, kEval };

// Why an episode is over.
enum class StopReason {
  kCompleted,   // by the task's own rules, won or lost
  kMaxTurns,    // the policy had all of its turns
  kMaxTokens,   // rollout.max_new_tokens are used up
  kParseError,  // the policy said what the task cannot read, and the task ends for that
};
std::string_view stop_reason_name(StopReason reason);  // "completed", "max_turns", ...
std::optional<StopReason> parse_stop_reason(std::string_view name);

// One turn of the policy.
struct Turn {
  std::string text;                           // without control tokens
  bool is_cut = false;                        // by max_new_tokens: the episode's last turn, whatever is answered
  const std::atomic<bool>* cancel = nullptr;  // true once nobody waits any more; may be null
};

// What the environment answers. Score and parts are those of the whole episode up to here.
struct StepResult {
  std::vector<Message> messages;                      // the next turn's; none where the episode is over
  bool is_terminated = false;                         // over by the task's own rules
  bool is_truncated = false;                          // over by a limit
  StopReason stop_reason = StopReason::kCompleted;    // where it is over
  double score = 0.0;                                 // in [0, 1]; 1 = solved
  std::vector<std::pair<std::string, double>> parts;  // metrics, finite
  bool is_over() const { return is_terminated || is_truncated; }
  // Over by a limit, unless it is over already.
  void truncate(StopReason reason);
};

// An environment failed: the sample has no reward. Whatever else an episode throws counts as that, too.
enum class EnvFault { kFailed, kTimeout, kCrashed, kProtocol };
class EnvError : public Error {
 public:
  EnvError(EnvFault fault, const std::string& what) : Error(ExitCode::kInternal, what), fault(fault) {}
  EnvFault fault;
};

// One attempt at a task, used once: step() until it is over. A pure function of the task and of what was said.
class Episode {
 public:
  virtual ~Episode() = default;
  virtual StepResult step(const Turn& turn) = 0;  // throws EnvError
};

// Tasks as a pure function of (options, seed, split, index). Safe to call from several threads.
class TaskSource {
 public:
  virtual ~TaskSource() = default;
  virtual int64_t size(Split split) const = 0;                   // kEndless for procedural tasks
  virtual Task get(Split split, int64_t index) const = 0;        // index in [0, size)
  virtual std::string digest() const = 0;                        // of the data, or of the options of a procedural task
  virtual std::vector<std::string> notes() const { return {}; }  // what loading left out and why, a line each
  static constexpr int64_t kEndless = INT64_MAX;

  // Sources that judge themselves or answer what the policy says: a new episode of a task that get() gave. Null: one
  // turn, and rewards alone judge it. One source has episodes for all of its tasks or for none.
  virtual std::unique_ptr<Episode> start(const Task& /*task*/) const { return nullptr; }
  // Steps that may be under way at once; 0 = a step takes microseconds, and is done where the policy is sampled.
  virtual int64_t num_parallel_steps() const { return 0; }
  // From now on, what programs behind it print is appended to this file. Throws IoError.
  virtual void keep_output(const std::filesystem::path& /*log_file*/) const {}
};

// What tasks are made with, besides their options.
struct EnvContext {
  uint64_t seed = 0;
  // Of tasks that are programs; reward/rubric.h.
  std::filesystem::path worker;      // what they are started by
  std::filesystem::path python_dir;  // on PYTHONPATH
  std::string search_path;           // PATH
  bool wants_namespace = true;
  std::string user_id, group_id;  // of who runs them
};

// A row of envs/registry.cc: how a task is made from the config's `task:` map. `make` reads its own keys, then calls
// finish().
struct EnvEntry {
  const char* name;
  const char* summary;
  std::unique_ptr<TaskSource> (*make)(FieldReader& reader, const EnvContext& context);
};

}  // namespace noregret
