#include "envs/jsonl/jsonl.h"

#include <vector>

namespace noregret {
namespace {

// The key that the row has: the one that the options name, or one of the two usual ones; "" where it has none.
std::string key_in(const TaskRow& row, const std::string& named, const char* first, const char* second,
                   const char* option) {
  if (!named.empty()) return row.value.contains(named) ? named : "";
  const bool has_first = row.value.contains(first);
  const bool has_second = row.value.contains(second);
  if (has_first && has_second) {
    throw DataError(cat(row.where, ": has both '", first, "' and '", second, "'; set task.", option));
  }
  return has_first ? first : has_second ? second : "";
}

[[noreturn]] void throw_missing(const TaskRow& row, const std::string& named, const char* usual, const char* option) {
  const std::string want = named.empty() ? cat(usual, " is missing; set task.", option, " if it has another name")
                                         : cat("'", named, "' is missing (task.", option, ")");
  throw DataError(cat(row.where, ": key ", want));
}

std::string read_answer(const TaskRow& row, const std::string& key) {
  const Json& answer = row.value[key];
  if (answer.is_number_integer()) return cat(json_int(row.value, key.c_str(), row.where));
  if (answer.is_number()) return shortest(answer.get<double>());
  return json_string(row.value, key.c_str(), row.where);
}

ReadTask read_row(const JsonlOptions& options, const TaskRow& row) {
  const std::string prompt = key_in(row, options.prompt_key, "prompt", "messages", "prompt_key");
  if (prompt.empty()) throw_missing(row, options.prompt_key, "'prompt' or 'messages'", "prompt_key");
  Task task;
  task.messages = read_prompt(row.value, prompt.c_str(), row.where);
  if (!options.system.empty()) task.messages.insert(task.messages.begin(), {"system", options.system});

  const std::string answer = key_in(row, options.answer_key, "answer", "reference", "answer_key");
  if (!answer.empty()) {
    task.reference = read_answer(row, answer);
  } else if (options.answer_kind != "none") {
    throw_missing(row, options.answer_key, "'answer' or 'reference'", "answer_key");
  }
  const std::string metadata = key_in(row, options.metadata_key, "metadata", "info", "metadata_key");
  if (!metadata.empty()) {
    task.metadata = row.value[metadata];
    if (!task.metadata.is_object()) throw DataError(cat(row.where, ": key '", metadata, "' is no object"));
  }
  if (row.value.contains(options.demonstration_key)) {
    task.demonstration = json_string(row.value, options.demonstration_key.c_str(), row.where);
  }
  return {task, ""};
}

}  // namespace

std::unique_ptr<TaskSource> make_jsonl(FieldReader& reader, const EnvContext& /*context*/) {
  JsonlOptions options;
  options.visit_fields(reader);
  reader.finish();
  return make_file_tasks(reader, options.file,
                         {.name = "jsonl",
                          .path_hint = "a .jsonl file whose rows have a prompt and an answer",
                          .answer_kind = options.answer_kind,
                          .rows = rows_of_file,
                          .read = [&options](const TaskRow& row, Split) { return read_row(options, row); }});
}

}  // namespace noregret
