#include "reward/plugin_file.h"

#include <algorithm>
#include <vector>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "lib";
constexpr std::string_view kSuffix = ".so";

bool is_file(const fs::path& path) {  // a FIFO or a device would block the reader
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::vector<std::string> plugins_in(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
    const std::string file = entry.path().filename().string();
    const bool is_plugin = file.size() > kPrefix.size() + kSuffix.size() && file.starts_with(kPrefix) &&
                           file.ends_with(kSuffix) && is_file(entry.path());
    if (is_plugin) names.push_back(file.substr(kPrefix.size(), file.size() - kPrefix.size() - kSuffix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

fs::path find_plugin(const std::string& name_or_path, const fs::path& plugin_dir) {
  if (name_or_path.empty()) throw ConfigError("a reward has no plugin; name one, as in {plugin: exact_match}");
  const bool is_path = name_or_path.find('/') != std::string::npos || name_or_path.ends_with(kSuffix);
  if (is_path) {
    const fs::path path = fs::absolute(name_or_path);
    if (is_file(path)) return path;
    throw ConfigError(cat("reward plugin ", path.string(), ": ",
                          fs::exists(path) ? "is no regular file" : "no such file",
                          "; want a shared library, or the bare name of one in ", plugin_dir.string()));
  }
  const fs::path path = fs::absolute(plugin_dir) / cat(kPrefix, name_or_path, kSuffix);
  if (is_file(path)) return path;
  const std::vector<std::string> names = plugins_in(plugin_dir);
  const std::string there = names.empty() ? "; the folder has no plugin, build them with `make build`"
                                          : cat("; the folder has ", join(names, ", "));
  throw ConfigError(
      cat("reward plugin ", quoted(name_or_path), ": no ", path.string(), there, did_you_mean(name_or_path, names)));
}

}  // namespace noregret
