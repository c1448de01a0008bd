#include "noregret/reward/rubric.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <future>

#include "noregret/base/error.h"
#include "noregret/base/output_log.h"
#include "noregret/base/text.h"
#include "reward/raw_batch.h"
#include "reward/score_cache.h"

namespace noregret {
namespace {

constexpr auto kTick = std::chrono::milliseconds(100);

// As make_scorer(), and says where the options were written.
std::unique_ptr<Scorer> make_located(const RewardOptions& reward, const RewardHost& host, OutputLog& log) {
  try {
    std::unique_ptr<Scorer> scorer = make_scorer(reward, host, log);
    if (!scorer->is_deterministic()) return scorer;
    return std::make_unique<CachedScorer>(std::move(scorer));
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
    if (result.error.empty()) result.kind = component.kind;
    result.error += cat(result.error.empty() ? "" : "; ", name, ": ", component.error);
  }
  result.breakdown.push_back(std::move(component));
}

void finish(RubricResult& result) {
  if (result.error.empty() && !std::isfinite(result.reward)) {
    result.error = cat("the weighted sum is ", result.reward, "; lower the weights");
    result.kind = FailureKind::kNotFinite;
  }
  result.status = result.error.empty() ? ScoreStatus::kOk : ScoreStatus::kFailed;
  if (!result.error.empty()) result.reward = 0.0;
}

using Scores = std::vector<ComponentScore>;

// All components at once. When the tick throws, the rest is called off and the exception goes on.
std::vector<Scores> score_all(const std::vector<std::unique_ptr<Scorer>>& scorers, std::span<const ScoreItem> items,
                              const ScoreTick& tick) {
  CancelFlag cancel = false;
  std::vector<std::future<Scores>> running;
  for (const std::unique_ptr<Scorer>& scorer : scorers) {
    running.push_back(
        std::async(std::launch::async, [&scorer, items, &cancel] { return scorer->score(items, &cancel); }));
  }
  std::exception_ptr stop;
  for (std::future<Scores>& one : running) {
    while (one.wait_for(kTick) != std::future_status::ready) {
      try {
        if (tick && !stop) tick();
      } catch (...) {
        stop = std::current_exception();
        cancel = true;
      }
    }
  }
  if (stop) std::rethrow_exception(stop);
  std::vector<Scores> scores;
  for (std::future<Scores>& one : running) scores.push_back(one.get());
  return scores;
}

}  // namespace

Rubric::Rubric(const std::vector<RewardOptions>& rewards, const RewardHost& host)
    : log_(std::make_unique<OutputLog>()) {
  if (rewards.empty()) throw ConfigError("rewards is empty; name at least one, as in rewards: [{plugin: exact_match}]");
  for (const RewardOptions& reward : rewards) {
    if (!std::isfinite(reward.weight))
      throw ConfigError(cat("rewards: ", reward.plugin, ": weight is ", reward.weight));
    scorers_.push_back(make_located(reward, host, *log_));
    const std::string& name = reward.name.empty() ? scorers_.back()->name() : reward.name;
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

Rubric::~Rubric() = default;
Rubric::Rubric(Rubric&&) noexcept = default;

std::vector<RubricResult> Rubric::score(std::span<const ScoreItem> items, const ScoreTick& tick) const {
  std::vector<RubricResult> results(items.size());
  if (items.empty()) return results;
  std::vector<Scores> scores = score_all(scorers_, items, tick);
  for (size_t c = 0; c < scorers_.size(); ++c) {
    for (size_t i = 0; i < items.size(); ++i) add(results[i], names_[c], weights_[c], std::move(scores[c][i]));
  }
  for (RubricResult& result : results) finish(result);
  return results;
}

void Rubric::keep_output(const std::filesystem::path& log_file) const { log_->open(log_file); }
std::string Rubric::take_output() const { return log_->take(); }

}  // namespace noregret
