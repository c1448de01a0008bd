#pragma once

#include <unistd.h>

#include <filesystem>

#include "noregret/base/text.h"
#include "noregret/rollout/env.h"

namespace noregret {

// What a task that is a program needs, of this build.
inline EnvContext program_context(uint64_t seed) {
  const std::filesystem::path build = NOREGRET_BUILD_DIR;
  return {.seed = seed,
          .worker = build / "noregret-reward-worker",
          .python_dir = build / "rewards/python",
          .search_path = "/usr/local/bin:/usr/bin:/bin",
          .user_id = cat(geteuid()),
          .group_id = cat(getegid())};
}

}  // namespace noregret
