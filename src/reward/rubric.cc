#include "noregret/reward/rubric.h"

#include <algorithm>
#include <cmath>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "reward/raw_batch.h"

namespace noregret {
namespace {

std::string options_json(const RewardOptions& reward) {
  switch (reward.options.kind) {
    case Node::Kind::kNull:
      return "{}";
    case Node::Kind::kMap:
      return dump_json(reward.options.to_json());
    default:
      throw ConfigError(cat("reward plugin ", reward.plugin, ": its options are no map; want options: {name: value}"));
  }
}

// As the plugin's constructor, and says where the options were written.
Plugin make_plugin(const RewardOptions& reward, const std::filesystem::path& plugin_dir) {
  try {
    return Plugin(reward.plugin, options_json(reward), plugin_dir);
  } catch (const ConfigError& e) {
    const Location& location = reward.options.location;
    if (location.file.empty()) throw;
    throw ConfigError(cat(location.str(), ": ", e.what()));
  }
}

// Adds one component to the result of an item.
void add(RubricResult& result, const std::string& name, double weight, ComponentScore component) {
  if (weight != 0.0 && component.status == ScoreStatus::kOk) result.reward += weight * component.score;
  if (weight != 0.0 && component.status != ScoreStatus::kOk) {
    result.error += cat(result.error.empty() ? "" : "; ", name, ": ", component.error);
  }
  result.breakdown.push_back(std::move(component));
}

void finish(RubricResult& result) {
  if (result.error.empty() && !std::isfinite(result.reward)) {
    result.error = cat("the weighted sum is ", result.reward, "; lower the weights");
  }
  result.status = result.error.empty() ? ScoreStatus::kOk : ScoreStatus::kFailed;
  if (!result.error.empty()) result.reward = 0.0;
}

}  // namespace

Rubric::Rubric(const std::vector<RewardOptions>& rewards, const std::filesystem::path& plugin_dir) {
  if (rewards.empty()) throw ConfigError("rewards is empty; name at least one, as in rewards: [{plugin: exact_match}]");
  for (const RewardOptions& reward : rewards) {
    if (!std::isfinite(reward.weight))
      throw ConfigError(cat("rewards: ", reward.plugin, ": weight is ", reward.weight));
    plugins_.push_back(make_plugin(reward, plugin_dir));
    const std::string& name = reward.name.empty() ? plugins_.back().name() : reward.name;
    if (!is_component_name(name)) {
      throw ConfigError(cat("rewards: the name ", quoted(name), " does not fit; want 1 to ", NOREGRET_NAME_CAPACITY,
                            " of A-Z a-z 0-9 _ . -"));
    }
    if (std::find(names_.begin(), names_.end(), name) != names_.end()) {
      throw ConfigError(cat("rewards: two components are called '", name, "'; give one another `name:`"));
    }
    names_.push_back(name);
    weights_.push_back(reward.weight);
  }
}

std::vector<RubricResult> Rubric::score(std::span<const ScoreItem> items) const {
  std::vector<RubricResult> results(items.size());
  for (size_t c = 0; c < plugins_.size(); ++c) {
    std::vector<ComponentScore> scores = plugins_[c].score(items);
    for (size_t i = 0; i < items.size(); ++i) add(results[i], names_[c], weights_[c], std::move(scores[i]));
  }
  for (RubricResult& result : results) finish(result);
  return results;
}

}  // namespace noregret
