#pragma once

#include <memory>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

struct SvampOptions {
  using HasFieldsTag = void;
  std::string path;
  std::string instruction =
      "Solve the problem step by step. End with a line '#### <number>' that holds only the final number.";
  std::string bad_golds = "error";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("path", path, "SVAMP.json or SVAMP.json.gz: one array of {\"Body\", \"Question\", \"Answer\"} objects");
    v("instruction", instruction, "line after each question; empty = none");
    v("bad_golds", bad_golds, OneOf{"error", "skip"}, "what to do about golds that rewards cannot read");
  }
};

// SVAMP (arXiv:2103.07191): one arithmetic step in a short story. The first seven tenths of the file (700 of 1,000) are
// for training, the rest is held out. No demonstrations. Throws ConfigError without a path, DataError with the row on
// one that does not fit.
std::unique_ptr<TaskSource> make_svamp(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
