#include <cstdio>

#include "noregret/tensor/device.h"
#include "run/verbs.h"

namespace noregret {

std::string version_text() { return NOREGRET_VERSION; }

ExitCode run_version() {
  std::printf("noregret %s (%s build)\n", version_text().c_str(), is_cuda_build() ? "CUDA" : "CPU");
  return ExitCode::kOk;
}

}  // namespace noregret
