#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "noregret/reward/reward_options.h"

namespace noregret {

// What a plugin is asked to judge. Text is UTF-8.
struct ScoreItem {
  std::string id;
  std::string prompt;         // rendered text
  std::string completion;     // without control tokens
  std::string reference;      // the gold answer
  std::string metadata_json;  // an object
  std::string finish_reason;  // "stop", "length", "abort"
};

enum class ScoreStatus { kOk, kFailed };

struct PartScore {
  std::string name;
  double value = 0.0;
};

// One plugin's verdict on one item.
struct ComponentScore {
  ScoreStatus status = ScoreStatus::kFailed;
  double score = 0.0;  // meaningful only when kOk; finite and in the plugin's declared range
  std::string error;   // when failed
  std::vector<PartScore> parts;
};

// The rubric's verdict on one item. `reward` = sum of weight * score; when any component of non-zero weight failed, the
// status is kFailed and the sample takes no part in the loss. A failure is never a number.
struct RubricResult {
  ScoreStatus status = ScoreStatus::kFailed;
  double reward = 0.0;
  std::string error;
  std::vector<ComponentScore> breakdown;  // one a component, in the rubric's order
};

// A reward plugin in a shared library (reward/abi.h), loaded into this process and never unloaded. A plugin that
// crashes takes the process with it. score() may be called from several threads; a plugin that is not thread-safe is
// then called in turns.
class Plugin {
 public:
  // `name_or_path`: a bare name is lib<name>.so in plugin_dir; else a path. Throws ConfigError: not there (listing what
  // is), not a plugin, another ABI, options that it refuses.
  Plugin(const std::string& name_or_path, const std::string& options_json, const std::filesystem::path& plugin_dir);
  ~Plugin();
  Plugin(Plugin&&) noexcept;
  Plugin& operator=(Plugin&&) noexcept;

  const std::string& name() const;
  double min_reward() const;
  double max_reward() const;
  const std::string& digest() const;  // SHA-256 of the shared library
  // One verdict an item, in order. A wrong status, a non-finite or out-of-range score becomes kFailed with the reason.
  std::vector<ComponentScore> score(std::span<const ScoreItem> items) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Weighted plugins. Component names are the plugins' names (or `name:` of the options), unique.
class Rubric {
 public:
  Rubric(const std::vector<RewardOptions>& rewards, const std::filesystem::path& plugin_dir);  // throws ConfigError

  std::vector<RubricResult> score(std::span<const ScoreItem> items) const;
  const std::vector<std::string>& component_names() const { return names_; }
  const std::vector<Plugin>& plugins() const { return plugins_; }

 private:
  std::vector<Plugin> plugins_;
  std::vector<std::string> names_;
  std::vector<double> weights_;
};

}  // namespace noregret
