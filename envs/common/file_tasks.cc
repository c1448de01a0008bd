#include "envs/common/file_tasks.h"

#include <map>
#include <set>

#include "envs/common/golds.h"
#include "envs/common/procedural.h"
#include "envs/common/task_list.h"
#include "noregret/base/jsonl.h"

namespace noregret {
namespace {

// Without system messages: another one makes no other problem.
std::string prompt_text(const Task& task) {
  std::string text;
  for (const Message& message : task.messages) {
    if (message.role != "system") text += cat(message.role, "\n", message.content, "\n");
  }
  return text;
}

// Reads one file after another into the two splits.
class Loader {
 public:
  Loader(const FileTaskOptions& options, const RowFormat& format) : options_(options), format_(format) {}

  void read(const fs::path& path, Split split) {
    std::vector<TaskRow> rows = format_.rows(path);
    if (options_.limit > 0 && static_cast<int64_t>(rows.size()) > options_.limit) {
      rows.resize(static_cast<size_t>(options_.limit));
    }
    for (const TaskRow& row : rows) add(row, split);
  }

  std::unique_ptr<TaskSource> finish() {
    if (bad_golds_.size() > 0 && options_.bad_golds == "error") {
      throw DataError(bad_golds_.text(num_golds_) + "; mend them or set task.bad_golds: skip");
    }
    std::vector<std::string> notes;
    const auto note = [&](const std::string& text) { notes.push_back(format_.name + ": " + text); };
    if (bad_golds_.size() > 0) note("skipped " + bad_golds_.text(num_golds_));
    for (const auto& [what, rows] : left_out_) note(cat(rows.num, what, "; the first is ", rows.first));
    if (const std::string shared = shared_problems(); !shared.empty()) note(shared);
    return std::make_unique<TaskList>(std::move(train_), std::move(eval_), std::move(notes));
  }

 private:
  struct Rows {
    int64_t num = 0;
    std::string first;
  };

  void add(const TaskRow& row, Split split) {
    ReadTask read = format_.read(row, split);
    if (options_.eval_fraction > 0.0 && spread(prompt_text(read.task)) < options_.eval_fraction) {
      split = Split::kEval;
      read = format_.read(row, split);
    }
    if (!read.left_out.empty()) {
      Rows& rows =
          left_out_[cat(split == Split::kTrain ? " training" : " held-out", " problems left out: ", read.left_out)];
      if (rows.num++ == 0) rows.first = row.where;
      return;
    }
    ++num_golds_;
    if (const std::string why = why_bad_gold(format_.answer_kind, read.task.reference); !why.empty()) {
      bad_golds_.add(row.where, read.task.reference, why);
      return;
    }
    std::vector<Task>& tasks = split == Split::kTrain ? train_ : eval_;
    read.task.id = cat(format_.name, "/", split_name(split), "/", tasks.size());
    std::string& last = read.task.messages.back().content;
    last = with_instruction(last, options_.instruction);
    tasks.push_back(std::move(read.task));
  }

  std::string shared_problems() const {
    std::set<std::string> held_out;
    for (const Task& task : eval_) held_out.insert(prompt_text(task));
    Rows shared;
    for (const Task& task : train_) {
      if (held_out.count(prompt_text(task)) > 0 && shared.num++ == 0) shared.first = task.id;
    }
    if (shared.num == 0) return "";
    return cat("warning: ", shared.num, " training problems are held out as well; the first is ", shared.first);
  }

  const FileTaskOptions& options_;
  const RowFormat& format_;
  std::vector<Task> train_;
  std::vector<Task> eval_;
  std::map<std::string, Rows> left_out_;  // by what is left out, and why
  int64_t num_golds_ = 0;
  BadGolds bad_golds_;
};

}  // namespace

std::unique_ptr<TaskSource> make_file_tasks(const FieldReader& reader, const FileTaskOptions& options,
                                            const RowFormat& format) {
  const std::string place = reader.node().location.str() + ": ";
  if (options.path.empty()) throw ConfigError(place + "task.path is missing; name " + format.path_hint);
  if (options.eval_fraction > 0.0 && !options.eval_path.empty()) {
    throw ConfigError(place + "task.eval_path and task.eval_fraction both hold problems out; keep one of them");
  }
  Loader loader(options, format);
  loader.read(resolve_path(reader, "path", options.path), Split::kTrain);
  if (!options.eval_path.empty()) loader.read(resolve_path(reader, "eval_path", options.eval_path), Split::kEval);
  return loader.finish();
}

std::vector<TaskRow> rows_of_file(const fs::path& path) {
  std::vector<TaskRow> rows;
  for (JsonLine& line : read_jsonl(path)) rows.push_back({std::move(line.value), cat(path.string(), ":", line.line)});
  return rows;
}

std::vector<Message> read_prompt(const Json& row, const char* key, const std::string& where) {
  const Json& prompt = json_at(row, key, where);
  std::vector<Message> messages;
  if (!prompt.is_array()) {
    messages.push_back({"user", json_string(row, key, where)});
  } else {
    for (const Json& item : prompt) {
      messages.push_back({json_string(item, "role", where), json_string(item, "content", where)});
      const std::string& role = messages.back().role;
      if (role != "system" && role != "user" && role != "assistant") {
        throw DataError(cat(where, ": a message's role is ", quoted(role), ", want system, user or assistant"));
      }
    }
  }
  if (messages.empty() || messages.back().role != "user" || trimmed(messages.back().content).empty()) {
    throw DataError(cat(where, ": key '", key, "' does not end with a user's text, want what is asked of the model"));
  }
  return messages;
}

}  // namespace noregret
