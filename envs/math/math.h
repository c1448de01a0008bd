#pragma once

#include <memory>
#include <string>
#include <vector>

#include "envs/common/file_tasks.h"

namespace noregret {

struct MathOptions {
  using HasFieldsTag = void;
  FileTaskOptions file;
  std::vector<int64_t> levels;
  std::vector<std::string> subjects;
  std::string asy = "keep";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    file.visit_fields(v);
    v("levels", levels, Range{1, 5}, "only problems of these levels; empty = all");
    v("subjects", subjects, "only these, as in algebra, counting_and_probability; empty = all");
    v("asy", asy, OneOf{"keep", "skip"}, "problems with a drawing in Asymptote code");
  }
};

// Problems in the form of MATH (arXiv:2103.03874). The path is a folder with train/ and test/, a folder of one split
// with <subject>/<n>.json, or a JSONL file. The gold is the row's `answer`, or what the solution's last box holds; the
// solution is the demonstration. Left out and counted: empty golds, and training problems whose solution boxes
// different answers. Metadata: {"level", "subject", "source"}, the level null where it is not known. Throws as
// make_file_tasks.
std::unique_ptr<TaskSource> make_math(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
