#pragma once

#include <memory>
#include <string>

#include "envs/common/file_tasks.h"

namespace noregret {

struct JsonlOptions {
  using HasFieldsTag = void;
  FileTaskOptions file;
  std::string answer_kind = "text";
  std::string system;
  std::string prompt_key;
  std::string answer_key;
  std::string metadata_key;
  std::string demonstration_key = "demonstration";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    file.visit_fields(v);
    v("answer_kind", answer_kind, OneOf{"text", "number", "math", "none"},
      "what the golds must be: any text, a number, what math_answer reads, or nothing at all");
    v("system", system, "a system message before each prompt; empty = none");
    v("prompt_key", prompt_key, "where the prompt stands; empty = \"prompt\" or \"messages\"");
    v("answer_key", answer_key, "where the gold stands; empty = \"answer\" or \"reference\"");
    v("metadata_key", metadata_key, "where the metadata stand; empty = \"metadata\" or \"info\"");
    v("demonstration_key", demonstration_key, "where a worked answer stands, if there is one");
  }
};

// Problems from any rows that have a prompt and, unless answer_kind is none, an answer. Throws as make_file_tasks.
std::unique_ptr<TaskSource> make_jsonl(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
