#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "noregret/reward/scorer.h"

namespace noregret {

// A reward plugin in a shared library (reward/abi.h), loaded into this process and never unloaded. A plugin that
// crashes takes the process with it. score() may be called from several threads; a plugin that is not thread-safe is
// then called in turns.
class Plugin final : public Scorer {
 public:
  // `name_or_path`: a bare name is lib<name>.so in plugin_dir; else a path. Throws ConfigError: not there (listing what
  // is), not a plugin, another ABI, options that it refuses.
  Plugin(const std::string& name_or_path, const std::string& options_json, const std::filesystem::path& plugin_dir);
  ~Plugin() override;
  Plugin(Plugin&&) noexcept;
  Plugin& operator=(Plugin&&) noexcept;

  const std::string& name() const override;
  double min_reward() const override;
  double max_reward() const override;
  bool is_deterministic() const override;
  const std::string& digest() const override;  // SHA-256 of the shared library

  std::vector<ComponentScore> score(std::span<const ScoreItem> items, const CancelFlag* cancel) override;
  // The same. A wrong status, a non-finite or out-of-range score becomes kFailed with the reason.
  std::vector<ComponentScore> score(std::span<const ScoreItem> items) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace noregret
