#include "envs/svamp/svamp.h"

#include <cmath>

#include "envs/common/task_list.h"
#include "noregret/base/jsonl.h"

namespace noregret {
namespace {

// Some bodies lack their final stop: "... had 30 tickets" + "How many ...".
std::string story(const std::string& body, const std::string& question) {
  const std::string text = trimmed(body);
  if (text.empty()) return trimmed(question);
  const bool is_ended = std::string(".,?!;:").find(text.back()) != std::string::npos;
  return text + (is_ended ? " " : ". ") + trimmed(question);
}

}  // namespace

std::unique_ptr<TaskSource> make_svamp(FieldReader& reader, const EnvContext& /*context*/) {
  SvampOptions options;
  options.visit_fields(reader);
  reader.finish();
  if (options.path.empty()) {
    throw ConfigError(reader.node().location.str() + ": task.path is missing; name SVAMP.json or SVAMP.json.gz");
  }
  const fs::path path = resolve_path(reader, "path", options.path);
  const std::vector<JsonLine> rows = read_jsonl(path);
  const size_t num_train = rows.size() * 7 / 10;
  std::vector<Task> train;
  std::vector<Task> eval;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Json& row = rows[i].value;
    const std::string where = cat(path.string(), ":", rows[i].line);
    const Split split = i < num_train ? Split::kTrain : Split::kEval;
    std::vector<Task>& tasks = split == Split::kTrain ? train : eval;
    const double answer = json_number(row, "Answer", where);
    if (!std::isfinite(answer)) throw DataError(where + ": key 'Answer' is not finite, want a number");
    Task task;
    task.id = cat("svamp/", split_name(split), "/", tasks.size());
    const std::string question = story(json_string(row, "Body", where), json_string(row, "Question", where));
    task.messages = {{"user", with_instruction(question, options.instruction)}};
    // Answers are floats, all integral: 145.0 is 145.
    const bool is_integer = answer == std::floor(answer) && std::abs(answer) < 1e15;
    task.reference = is_integer ? cat(static_cast<int64_t>(answer)) : shortest(answer);
    tasks.push_back(std::move(task));
  }
  return std::make_unique<TaskList>(std::move(train), std::move(eval),
                                    sha256_hex(sha256_file(path) + options.instruction));
}

}  // namespace noregret
