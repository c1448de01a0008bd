#pragma once

#include <string>

#include "noregret/base/fields.h"

namespace noregret {

// Where SFT examples come from. With a `task:` in the config and no path here, from the task's demonstrations.
struct DataOptions {
  using HasFieldsTag = void;
  std::string path;
  int64_t batch_size = 32;
  std::string too_long = "error";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("path", path,
      "JSONL or JSONL.gz with {\"messages\"} or {\"prompt\", \"completion\"} rows; empty = the task's demonstrations");
    v("batch_size", batch_size, AtLeast{1}, "examples a step");
    v("too_long", too_long, OneOf{"error", "skip"},
      "an example longer than the context stops the run, or is left out and counted");
  }
};

}  // namespace noregret
