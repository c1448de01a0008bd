#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/rollout/env.h"

namespace noregret {

// What all tasks from files take.
struct FileTaskOptions {
  using HasFieldsTag = void;
  std::string path;
  std::string eval_path;
  double eval_fraction = 0.0;
  int64_t limit = 0;
  std::string instruction;
  std::string bad_golds = "error";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("path", path, "training problems, relative to the config file");
    v("eval_path", eval_path, "held-out problems, same form; empty = none");
    v("eval_fraction", eval_fraction, Range{0.0, 1.0},
      "share of path's problems that is held out, by a hash of the prompt");
    v("limit", limit, AtLeast{0}, "rows kept of each file, from the first on; 0 = all");
    v("instruction", instruction, "line after each question; empty = none");
    v("bad_golds", bad_golds, OneOf{"error", "skip"}, "what to do about golds that rewards cannot read");
  }
};

struct TaskRow {
  Json value;
  std::string where;  // "train.jsonl:17", begins each error
};

struct ReadTask {
  Task task;             // without its id; the instruction is not in its messages
  std::string left_out;  // why the row is no task; "" = it is one
};

// How the rows of a task become problems.
struct RowFormat {
  std::string name;                  // of the task
  std::string path_hint;             // what a missing task.path should name
  std::string answer_kind = "none";  // golds.h
  std::function<std::vector<TaskRow>(const fs::path&)> rows;
  std::function<ReadTask(const TaskRow&, Split)> read;
};

// The tasks of path and eval_path, which are as `reader` just took them. Rows that are left out are counted in the
// source's notes, as are training problems that are held out as well. Throws ConfigError without a path or with two
// ways to hold problems out, DataError with file and line on a bad row, and on golds that cannot be read.
std::unique_ptr<TaskSource> make_file_tasks(const FieldReader& reader, const FileTaskOptions& options,
                                            const RowFormat& format);

// The rows of a .jsonl or .json file, also gzipped.
std::vector<TaskRow> rows_of_file(const fs::path& path);

// What stands at `key`: a text, which is the user's, or a list of {"role", "content"} that ends with a user's message.
std::vector<Message> read_prompt(const Json& row, const char* key, const std::string& where);

}  // namespace noregret
