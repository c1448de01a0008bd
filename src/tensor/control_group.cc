#include "tensor/control_group.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

namespace noregret {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

std::optional<uint64_t> read_number(const fs::path& file) {  // none for "max" too
  std::ifstream in(file);
  uint64_t value = 0;
  if (!(in >> value)) return std::nullopt;
  return value;
}

uint64_t inactive_file_bytes(const fs::path& folder) {
  std::ifstream in(folder / "memory.stat");
  std::string name;
  for (uint64_t value = 0; in >> name >> value;) {
    if (name == "inactive_file") return value;
  }
  return 0;
}

uint64_t left_in(const fs::path& folder) {
  const std::optional<uint64_t> limit = read_number(folder / "memory.max");
  const std::optional<uint64_t> in_use = read_number(folder / "memory.current");
  if (!limit || !in_use) return kUnlimited;
  const uint64_t held = *in_use - std::min(*in_use, inactive_file_bytes(folder));
  return *limit - std::min(*limit, held);
}

}  // namespace

std::string own_control_group() {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("0::", 0) == 0) return line.substr(3);
  }
  return "";
}

uint64_t control_group_free_bytes(const fs::path& root, const std::string& group) {
  if (group.empty()) return kUnlimited;
  uint64_t least = left_in(root);
  fs::path folder = root;
  for (const fs::path& part : fs::path(group).relative_path()) {
    folder /= part;
    least = std::min(least, left_in(folder));
  }
  return least;
}

}  // namespace noregret
