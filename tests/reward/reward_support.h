#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "noregret/base/error.h"
#include "noregret/reward/rubric.h"

namespace noregret::reward_support {

inline const std::filesystem::path kTestPlugins = std::filesystem::path(NOREGRET_BUILD_DIR) / "test_plugins";
inline const std::filesystem::path kShippedPlugins = std::filesystem::path(NOREGRET_BUILD_DIR) / "rewards";

inline Plugin load(const std::string& name, const std::string& options_json = "{}") {
  return Plugin(name, options_json, kTestPlugins);
}

inline ScoreItem item(const std::string& completion, const std::string& reference = "") {
  return ScoreItem{"item", "prompt", completion, reference, "{}", "stop"};
}

inline ComponentScore score_one(const Plugin& plugin, const std::string& completion,
                                const std::string& reference = "") {
  const ScoreItem one = item(completion, reference);
  return plugin.score({&one, 1}).at(0);
}

// The text of the ConfigError that `work` throws.
template <class Work>
std::string config_error(Work&& work) {
  try {
    work();
  } catch (const ConfigError& e) {
    return e.what();
  }
  ADD_FAILURE() << "no ConfigError";
  return "";
}

inline std::string load_error(const std::string& name, const std::string& options_json = "{}") {
  return config_error([&] { load(name, options_json); });
}

// An empty folder that goes with the test.
class TempDir {
 public:
  TempDir() {
    std::string path = (std::filesystem::temp_directory_path() / "noregret-reward-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
    path_ = path;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace noregret::reward_support
