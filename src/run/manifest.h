#pragma once

#include <string>

#include "noregret/base/json.h"
#include "noregret/run/experiment.h"

namespace noregret {

// What identifies a run besides its config: version, build, device, and hashes of what it reads. Those whose names
// begin with sha256 are compared on resume.
Json make_manifest(const RunConfig& config, const Inputs& inputs, const Policy& policy, const std::string& device);

}  // namespace noregret
