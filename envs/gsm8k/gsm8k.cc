#include "envs/gsm8k/gsm8k.h"

#include "envs/common/file_tasks.h"
#include "envs/common/task_list.h"

namespace noregret {
namespace {

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

ReadTask read_row(const TaskRow& row, Split /*split*/) {
  const std::string answer = json_string(row.value, "answer", row.where);
  const size_t mark = answer.rfind("####");
  if (mark == std::string::npos) {
    throw DataError(row.where + ": the answer has no '####' line; want '#### <number>' at its end");
  }
  Task task;
  task.messages = {{"user", json_string(row.value, "question", row.where)}};
  task.reference = trimmed(answer.substr(mark + 4));
  task.demonstration = without_calculator_marks(answer);
  return {task, ""};
}

}  // namespace

std::unique_ptr<TaskSource> make_gsm8k(FieldReader& reader, const EnvContext& /*context*/) {
  FileTaskOptions options;
  options.instruction =
      "Solve the problem step by step. End with a line '#### <number>' that holds only the final number.";
  options.visit_fields(reader);
  reader.finish();
  return make_file_tasks(reader, options,
                         {.name = "gsm8k",
                          .path_hint = "GSM8K's train.jsonl or train.jsonl.gz",
                          .answer_kind = "number",
                          .rows = rows_of_file,
                          .read = read_row});
}

}  // namespace noregret
