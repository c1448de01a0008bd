#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace noregret {

// What a reward is asked to judge. Text is UTF-8.
struct ScoreItem {
  std::string id;
  std::string prompt;         // rendered text
  std::string completion;     // without control tokens
  std::string reference;      // the gold answer
  std::string metadata_json;  // an object
  std::string finish_reason;  // "stop", "length", "abort"
};

enum class ScoreStatus { kOk, kFailed };

// Why there is no score.
enum class FailureKind {
  kNone,
  kFailed,       // the plugin says that it cannot judge
  kThrew,        // it let an exception out
  kTimeout,      // no verdict in time
  kCrashed,      // its process ended
  kWrongCount,   // more or fewer verdicts than items
  kWrongId,      // a verdict on another item, or in another order
  kNotFinite,    // NaN, infinite or null
  kOutOfRange,   // outside of the declared range
  kProtocol,     // an answer that is none
  kUnavailable,  // no process, no connection
  kHttpStatus,   // the service refuses
};
std::string_view failure_name(FailureKind kind);  // "timeout", "wrong_count", ...
std::optional<FailureKind> parse_failure(std::string_view name);

struct PartScore {
  std::string name;
  double value = 0.0;
};

// One reward's verdict on one item.
struct ComponentScore {
  ScoreStatus status = ScoreStatus::kFailed;
  double score = 0.0;  // meaningful only when kOk; finite and in the declared range
  std::string error;   // when failed
  std::vector<PartScore> parts;
  FailureKind kind = FailureKind::kFailed;  // kNone when kOk
  double seconds = 0.0;                     // of its work, where that is known
};

ComponentScore failed_score(FailureKind kind, const std::string& error);

// Set by the caller when it no longer wants the verdicts.
using CancelFlag = std::atomic<bool>;

// What gives scores, wherever it runs.
class Scorer {
 public:
  virtual ~Scorer() = default;
  virtual const std::string& name() const = 0;  // as the plugin calls itself
  virtual double min_reward() const = 0;
  virtual double max_reward() const = 0;  // what a right answer gets
  virtual bool is_deterministic() const = 0;
  virtual const std::string& digest() const = 0;  // SHA-256 of what is run, as far as it is here

  // One verdict an item, in order; never throws on account of the plugin. Any number of threads may call it. Once
  // `cancel` (may be null) is true it returns soon, what is open as failed.
  virtual std::vector<ComponentScore> score(std::span<const ScoreItem> items, const CancelFlag* cancel = nullptr) = 0;
};

}  // namespace noregret
