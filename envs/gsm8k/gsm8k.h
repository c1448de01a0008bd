#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct Gsm8kOptions {
  using HasFieldsTag = void;
  std::string path;
  std::string eval_path;
  std::string instruction =
      "Solve the problem step by step. End with a line '#### <number>' that holds only the final number.";
  int64_t limit = 0;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("path", path, "training problems: JSONL or JSONL.gz with {\"question\", \"answer\"} rows");
    v("eval_path", eval_path, "held-out problems, same form; empty = none");
    v("instruction", instruction, "line after each question; empty = none");
    v("limit", limit, AtLeast{0}, "problems kept of each file, from the first on; 0 = all");
  }
};

// GSM8K (arXiv:2110.14168): the gold is the number after the answer's last `####`, the demonstration is the answer
// without the calculator marks `<<48/2=24>>`. Throws ConfigError without a path, DataError with file:line on a row that
// does not fit.
std::unique_ptr<TaskSource> make_gsm8k(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
