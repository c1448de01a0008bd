#include "envs/code/code.h"

#include "envs/common/file_tasks.h"

namespace noregret {
namespace {

bool is_test(const Json& test) {
  const auto has_texts = [&](const char* first, const char* second) {
    return test.contains(first) && test.contains(second) && test[first].is_string() && test[second].is_string();
  };
  return test.is_object() && test.size() == 2 && (has_texts("input", "output") || has_texts("call", "expected"));
}

ReadTask read_row(const TaskRow& row, Split /*split*/) {
  const Json& tests = json_at(row.value, "tests", row.where);
  if (!tests.is_array() || tests.empty()) throw DataError(row.where + ": key 'tests' is no list with tests in it");
  for (const Json& test : tests) {
    if (is_test(test)) continue;
    throw DataError(cat(row.where, ": a test is ", noregret::quoted(dump_json(test)),
                        R"(, want {"input", "output"} or {"call", "expected"}, all texts)"));
  }
  Task task;
  task.messages = read_prompt(row.value, "prompt", row.where);
  task.metadata["tests"] = tests;
  if (row.value.contains("demonstration")) {
    task.demonstration = json_string(row.value, "demonstration", row.where);
  }
  return {task, ""};
}

}  // namespace

std::unique_ptr<TaskSource> make_code(FieldReader& reader, const EnvContext& /*context*/) {
  FileTaskOptions options;
  options.instruction = "Answer with one Python program, in a block that begins with ```python and ends with ```.";
  options.visit_fields(reader);
  reader.finish();
  return make_file_tasks(reader, options,
                         {.name = "code",
                          .path_hint = "a .jsonl file whose rows have a prompt and tests",
                          .rows = rows_of_file,
                          .read = read_row});
}

}  // namespace noregret
