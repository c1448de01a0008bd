#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "noregret/base/child_process.h"
#include "noregret/base/descriptor.h"
#include "noregret/base/json.h"
#include "noregret/base/output_log.h"

namespace noregret {

inline constexpr size_t kMaxReplyBytes = size_t{8} << 20;

// A reply's text; bare NaN and Infinity, which some JSON writers emit, read as null. Throws DataError.
Json parse_reply(std::string_view text);

std::string make_nonce();  // 128 random bits in hex

struct JsonProcessOptions {
  std::string label;  // "reward plugin exact_match": before what it prints, in the log
  std::string program;
  std::vector<std::string> args;
  std::vector<std::string> environment;
  bool wants_namespace = true;
  OutputLog* log = nullptr;  // of its stdout and stderr
};

enum class ProcessFault { kNone, kTimeout, kCrashed, kProtocol };

// A program that answers one JSON object a line over descriptor 3, a stream socket. Each message that it is sent has a
// `nonce`, which its answer repeats. Whatever goes wrong ends it. For one thread; the process dies when that thread
// does.
class JsonProcess {
 public:
  explicit JsonProcess(const JsonProcessOptions& options) : options_(options) {}  // borrowed

  void start();  // ends the one before; throws IoError
  bool is_running() const { return process_ != nullptr; }
  struct Reply {
    ProcessFault fault = ProcessFault::kNone;
    std::string error;
    Json value;
  };
  // Sends the message, an object, and waits for its answer. Once `cancel` (may be null) is true it returns soon, with a
  // time-out.
  Reply ask(Json message, double seconds, const std::atomic<bool>* cancel);
  void stop();

 private:
  // False when the other side has closed.
  bool send_some(std::string& outbox) const;
  bool receive_some();
  void take_output();
  Reply read_line(std::string_view line, const std::string& nonce) const;
  Reply ended();
  std::string with_last_words(const std::string& why) const;

  const JsonProcessOptions& options_;
  std::unique_ptr<ChildProcess> process_;
  std::optional<OutputLines> lines_;
  Descriptor channel_;
  Descriptor output_;
  std::string inbox_;
};

}  // namespace noregret
