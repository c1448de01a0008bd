#pragma once

#include <memory>
#include <string>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/rollout/trajectory.h"

namespace noregret {

// Lines for a person: on stderr and, once a run directory is open, in its log.txt.
class Reporter {
 public:
  explicit Reporter(bool is_terminal) : is_terminal_(is_terminal) {}
  ~Reporter();
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  void keep(const fs::path& log_file);   // from now on, lines are appended to this file as well
  void line(const std::string& text);    // also several lines
  void warn(const std::string& text);    // "warning: ..."
  void status(const std::string& text);  // replaces the last status on a terminal; nothing elsewhere
  void clear_status();

 private:
  bool is_terminal_;
  bool has_status_ = false;
  std::unique_ptr<AppendFile> log_;
};

// A table of completions with their rewards: the first sample of each of `num_rows` groups, long texts cut.
std::string sample_table(const std::vector<TrajectoryGroup>& groups, const std::vector<std::string>& component_names,
                         int64_t num_rows);

}  // namespace noregret
