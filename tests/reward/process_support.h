#pragma once

#include <sys/wait.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "noregret/base/clock.h"
#include "noregret/base/output_log.h"
#include "tests/reward/reward_support.h"

namespace noregret::reward_support {

inline const std::filesystem::path kSourceDir = NOREGRET_SOURCE_DIR;
inline const std::string kPythonPath = "/usr/local/bin:/usr/bin:/bin";

inline bool has_python() {
  for (const char* folder : {"/usr/local/bin/python3", "/usr/bin/python3", "/bin/python3"}) {
    if (std::filesystem::exists(folder)) return true;
  }
  return false;
}

// A reward that runs outside of this process, and what it printed.
struct Outside {
  explicit Outside(const RewardOptions& options, const RewardHost& host = RewardHost(kTestPlugins))
      : scorer(make_scorer(options, host, log)) {}
  ComponentScore score(const std::string& completion, const CancelFlag* cancel = nullptr) const {
    const ScoreItem one = item(completion);
    return scorer->score({&one, 1}, cancel).at(0);
  }

  OutputLog log;  // outlives the scorer
  std::unique_ptr<Scorer> scorer;
};

inline RewardOptions outside_options(const std::string& plugin, double timeout_s = 60.0, int64_t workers = 1) {
  RewardOptions options;
  options.plugin = plugin;
  options.timeout_s = timeout_s;
  options.workers = workers;
  return options;
}

inline size_t num_open_files() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count += entry.exists() ? 1 : 0;
  return count;
}

// Any child, a zombie among them.
inline bool has_child() { return waitpid(-1, nullptr, WNOHANG | WNOWAIT) != -1; }

}  // namespace noregret::reward_support
