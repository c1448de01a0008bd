#pragma once

#include <string>
#include <vector>

namespace noregret {

// The program noregret-reward-worker, started by a rubric with its channel as descriptor 3:
//   MEMORY_MB UID GID library FILE       loads a plugin and judges with it
//   MEMORY_MB UID GID command PROGRAM... becomes a program that judges
// The ids are those of who started it, which it cannot know in a user namespace. It limits itself first, and reaps what
// its child leaves. Returns the exit code: the child's, or 128 + its signal.
int run_reward_worker(const std::vector<std::string>& args);

}  // namespace noregret
