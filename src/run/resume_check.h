#pragma once

#include <string>
#include <vector>

#include "noregret/base/json.h"

namespace noregret {

// What differs between a run's first start and this one, a line each with both values.
struct ResumeDifferences {
  std::vector<std::string> told;     // may differ: rounding, the learning rate, what was allowed by name
  std::vector<std::string> refused;  // names of what changes results and was not allowed
};

// `before` and `now` are manifests: {"config": resolved config, "sha256_...": hashes of inputs, "noregret", "build",
// "device", "cpu"}. Steps, saving, logging and evaluation may differ without a word. Throws DataError on a manifest
// without a config.
ResumeDifferences compare_manifests(const Json& before, const Json& now, const std::vector<std::string>& allowed,
                                    const std::string& where);

}  // namespace noregret
