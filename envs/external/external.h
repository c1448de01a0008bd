#pragma once

#include <memory>
#include <string>
#include <vector>

#include "noregret/rollout/env.h"

namespace noregret {

struct ExternalOptions {
  using HasFieldsTag = void;
  std::string plugin;
  std::vector<std::string> command;
  Node options;
  double timeout_s = 10.0;
  int64_t workers = 0;
  int64_t memory_mb = 2048;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("plugin", plugin, "a Python file that serves an environment; README.md beside this header");
    v("command", command, "in place of `plugin`: a program that speaks JSON lines, and its arguments");
    v("options", options, "the environment's own options");
    v("timeout_s", timeout_s, Range{0.001, 86400}, "seconds for one answer, from the start of its work");
    v("workers", workers, Range{0, 64}, "processes; 0 = one a core, at most 8");
    v("memory_mb", memory_mb, Range{0, 1 << 24}, "address space of a process; 0 = no limit");
  }
};

// Tasks and episodes of a program of the user's, over JSON lines: README.md specifies them. Nothing that it says or
// does can hurt the run: a step that fails is an EnvError, and its process is started again. get() asks twice, then
// throws DataError. Throws ConfigError: no program, one that does not start or refuses its options.
std::unique_ptr<TaskSource> make_external(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
