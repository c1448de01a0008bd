#pragma once

#include <string>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/rollout/env.h"

namespace noregret {

// Tasks that are read whole from files. The digest is that of all they hold.
class TaskList : public TaskSource {
 public:
  TaskList(std::vector<Task> train, std::vector<Task> eval, std::vector<std::string> notes);

  int64_t size(Split split) const override { return static_cast<int64_t>(tasks(split).size()); }
  Task get(Split split, int64_t index) const override;
  std::string digest() const override { return digest_; }
  std::vector<std::string> notes() const override { return notes_; }

 private:
  const std::vector<Task>& tasks(Split split) const { return split == Split::kTrain ? train_ : eval_; }

  std::vector<Task> train_;
  std::vector<Task> eval_;
  std::vector<std::string> notes_;
  std::string digest_;
};

// "train" or "eval".
const char* split_name(Split split);

// `text`, the value of the key that `reader` just took, as a path: relative to the folder of the config file that it is
// written in, or to the working directory when it comes from the command line.
fs::path resolve_path(const FieldReader& reader, const char* key, const std::string& text);

// A question with the instruction on a line of its own; an empty instruction adds nothing.
std::string with_instruction(const std::string& question, const std::string& instruction);

// Without spaces, tabs and line ends on both sides.
std::string trimmed(const std::string& text);

}  // namespace noregret
