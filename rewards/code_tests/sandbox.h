#pragma once

#include <string>
#include <vector>

#include "noregret/base/child_process.h"

struct SandboxLimits {
  double timeout_s = 5.0;
  int64_t memory_mb = 512;
};

// One file that a program in the sandbox sees, as /work/<name>.
struct SandboxFile {
  std::string name;
  std::string text;
};

// Runs programs cut off from the machine by bubblewrap, or, where `is_isolated` is false, with limits alone in a
// temporary folder. Finds out at its construction whether the first can be had: throws std::runtime_error if not.
class Sandbox {
 public:
  explicit Sandbox(bool is_isolated);

  // `command` may name files by "{NAME}". Throws noregret::IoError where nothing can be started.
  noregret::ProgramResult run(const std::vector<std::string>& command, const std::vector<SandboxFile>& files,
                              const std::string& input, const SandboxLimits& limits) const;

 private:
  noregret::ProgramResult run_isolated(const std::vector<std::string>& launcher, std::vector<std::string> command,
                                       const std::vector<SandboxFile>& files, const std::string& input,
                                       const SandboxLimits& limits) const;
  noregret::ProgramResult run_plain(std::vector<std::string> command, const std::vector<SandboxFile>& files,
                                    const std::string& input, const SandboxLimits& limits) const;

  std::vector<std::string> launcher_;  // that works here; empty = not isolated
  std::string filter_;                 // seccomp
};
