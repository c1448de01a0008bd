#include "envs/gsm8k/gsm8k.h"

#include <cctype>

#include "envs/common/task_list.h"
#include "noregret/base/jsonl.h"

namespace noregret {
namespace {

// An integer or decimal number, thousands commas allowed: what all 8,792 golds are.
bool is_number(const std::string& text) {
  size_t i = !text.empty() && text[0] == '-' ? 1 : 0;
  size_t num_digits = 0;
  bool has_point = false;
  for (; i < text.size(); ++i) {
    if (std::isdigit(static_cast<unsigned char>(text[i]))) {
      ++num_digits;
    } else if (text[i] == '.' && !has_point) {
      has_point = true;
    } else if (text[i] != ',' || num_digits == 0 || has_point) {
      return false;
    }
  }
  return num_digits > 0 && std::isdigit(static_cast<unsigned char>(text.back()));
}

std::string without_calculator_marks(const std::string& answer) {
  std::string text;
  size_t begin = 0;
  while (true) {
    const size_t open = answer.find("<<", begin);
    const size_t close = open == std::string::npos ? open : answer.find(">>", open);
    if (close == std::string::npos) return text + answer.substr(begin);
    text += answer.substr(begin, open - begin);
    begin = close + 2;
  }
}

std::vector<Task> read_tasks(const fs::path& path, Split split, const Gsm8kOptions& options) {
  std::vector<Task> tasks;
  for (const JsonLine& row : read_jsonl(path)) {
    if (options.limit > 0 && static_cast<int64_t>(tasks.size()) == options.limit) break;
    const std::string where = cat(path.string(), ":", row.line);
    const std::string answer = json_string(row.value, "answer", where);
    const size_t mark = answer.rfind("####");
    if (mark == std::string::npos) {
      throw DataError(where + ": the answer has no '####' line; want '#### <number>' at its end");
    }
    Task task;
    task.id = cat("gsm8k/", split_name(split), "/", tasks.size());
    task.messages = {{"user", with_instruction(json_string(row.value, "question", where), options.instruction)}};
    task.reference = trimmed(answer.substr(mark + 4));
    if (!is_number(task.reference)) {
      throw DataError(where + ": the gold after '####' is " + noregret::quoted(task.reference) + ", want a number");
    }
    task.demonstration = without_calculator_marks(answer);
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace

std::unique_ptr<TaskSource> make_gsm8k(FieldReader& reader, const EnvContext& /*context*/) {
  Gsm8kOptions options;
  options.visit_fields(reader);
  reader.finish();
  if (options.path.empty()) {
    throw ConfigError(reader.node().location.str() +
                      ": task.path is missing; name GSM8K's train.jsonl or train.jsonl.gz");
  }
  const fs::path path = resolve_path(reader, "path", options.path);
  std::vector<Task> train = read_tasks(path, Split::kTrain, options);
  std::string identity = sha256_file(path);
  std::vector<Task> eval;
  if (!options.eval_path.empty()) {
    const fs::path eval_path = resolve_path(reader, "eval_path", options.eval_path);
    eval = read_tasks(eval_path, Split::kEval, options);
    identity += sha256_file(eval_path);
  }
  identity += cat(options.limit, "\n", options.instruction);
  return std::make_unique<TaskList>(std::move(train), std::move(eval), sha256_hex(identity));
}

}  // namespace noregret
