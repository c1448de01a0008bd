#include "envs/common/task_list.h"

#include "noregret/base/check.h"

namespace noregret {
namespace {

Json json_of(const Task& task) {
  Json messages = Json::array();
  for (const Message& message : task.messages) messages.push_back({message.role, message.content});
  Json json = {task.id, messages, task.reference, task.metadata};
  if (task.demonstration) json.push_back(*task.demonstration);
  return json;
}

std::string digest_of(const std::vector<Task>& train, const std::vector<Task>& eval) {
  std::string text;
  for (const std::vector<Task>* tasks : {&train, &eval}) {
    for (const Task& task : *tasks) text += dump_json(json_of(task)) + "\n";
  }
  return sha256_hex(text);
}

}  // namespace

TaskList::TaskList(std::vector<Task> train, std::vector<Task> eval, std::vector<std::string> notes)
    : train_(std::move(train)), eval_(std::move(eval)), notes_(std::move(notes)), digest_(digest_of(train_, eval_)) {}

Task TaskList::get(Split split, int64_t index) const {
  NOREGRET_CHECK(index >= 0 && index < size(split), "task ", index, " of ", size(split));
  return tasks(split)[static_cast<size_t>(index)];
}

const char* split_name(Split split) { return split == Split::kTrain ? "train" : "eval"; }

fs::path resolve_path(const FieldReader& reader, const char* key, const std::string& text) {
  const Node* written = reader.node().find(key);
  const Location& location = (written != nullptr ? *written : reader.node()).location;
  const bool is_command_line = location.file.empty() || location.file.rfind("--set", 0) == 0;
  const fs::path base = is_command_line ? fs::current_path() : fs::absolute(location.file).parent_path();
  return (base / text).lexically_normal();
}

std::string with_instruction(const std::string& question, const std::string& instruction) {
  const bool has_line_end = !question.empty() && question.back() == '\n';
  return instruction.empty() ? question : question + (has_line_end ? "" : "\n") + instruction;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace noregret
