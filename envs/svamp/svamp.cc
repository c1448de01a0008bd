#include "envs/svamp/svamp.h"

#include <cmath>

#include "envs/common/file_tasks.h"
#include "envs/common/golds.h"
#include "envs/common/task_list.h"

namespace noregret {
namespace {

// Some bodies lack their final stop: "... had 30 tickets" + "How many ...".
std::string story(const std::string& body, const std::string& question) {
  const std::string text = trimmed(body);
  if (text.empty()) return trimmed(question);
  const bool is_ended = std::string(".,?!;:").find(text.back()) != std::string::npos;
  return text + (is_ended ? " " : ". ") + trimmed(question);
}

// Answers are floats, all integral: 145.0 is 145.
std::string gold_text(double answer) {
  const bool is_integer = answer == std::floor(answer) && std::abs(answer) < 1e15;
  return is_integer ? cat(static_cast<int64_t>(answer)) : shortest(answer);
}

}  // namespace

std::unique_ptr<TaskSource> make_svamp(FieldReader& reader, const EnvContext& /*context*/) {
  SvampOptions options;
  options.visit_fields(reader);
  reader.finish();
  if (options.path.empty()) {
    throw ConfigError(reader.node().location.str() + ": task.path is missing; name SVAMP.json or SVAMP.json.gz");
  }
  const std::vector<TaskRow> rows = rows_of_file(resolve_path(reader, "path", options.path));
  const size_t num_train = rows.size() * 7 / 10;
  std::vector<Task> train;
  std::vector<Task> eval;
  BadGolds bad_golds;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& [row, where] = rows[i];
    const Split split = i < num_train ? Split::kTrain : Split::kEval;
    std::vector<Task>& tasks = split == Split::kTrain ? train : eval;
    Task task;
    task.id = cat("svamp/", split_name(split), "/", tasks.size());
    const std::string question = story(json_string(row, "Body", where), json_string(row, "Question", where));
    task.messages = {{"user", with_instruction(question, options.instruction)}};
    task.reference = gold_text(json_number(row, "Answer", where));
    if (const std::string why = why_bad_gold("number", task.reference); !why.empty()) {
      bad_golds.add(where, task.reference, why);
    } else {
      tasks.push_back(std::move(task));
    }
  }
  std::vector<std::string> notes;
  if (bad_golds.size() > 0) {
    const std::string text = bad_golds.text(static_cast<int64_t>(rows.size()));
    if (options.bad_golds == "error") throw DataError(text + "; mend them or set task.bad_golds: skip");
    notes.push_back("svamp: skipped " + text);
  }
  return std::make_unique<TaskList>(std::move(train), std::move(eval), std::move(notes));
}

}  // namespace noregret
