#pragma once

#include <filesystem>
#include <string>

namespace noregret {

// The shared library of a plugin. A name without "/" and ".so" is lib<name>.so in plugin_dir; all else is a path.
// Throws ConfigError where it is no regular file, with the names that plugin_dir has.
std::filesystem::path find_plugin(const std::string& name_or_path, const std::filesystem::path& plugin_dir);

}  // namespace noregret
