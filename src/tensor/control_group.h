#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace noregret {

// The control group (version 2) of this process, "/" for the root of what it sees; empty without one.
std::string own_control_group();

// What the memory limits of `group` and of the groups above it, which lie under `root`, leave: limit - in use + file
// cache that can be dropped. The largest number where nothing is limited or can be read.
//   docs.kernel.org/admin-guide/cgroup-v2: memory.max, memory.current, memory.stat inactive_file
uint64_t control_group_free_bytes(const std::filesystem::path& root, const std::string& group);

}  // namespace noregret
