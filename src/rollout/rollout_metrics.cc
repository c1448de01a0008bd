#include <algorithm>
#include <cmath>
#include <map>

#include "noregret/objective/advantage.h"
#include "noregret/rollout/rollouter.h"

namespace noregret {
namespace {

// Sums of one named series of numbers.
struct Series {
  double sum = 0.0;
  double square_sum = 0.0;  // of differences from `first`, so that equal values have a spread of exactly 0
  double shifted_sum = 0.0;
  double first = 0.0;
  int64_t count = 0;

  void add(double value) {
    if (count == 0) first = value;
    sum += value;
    shifted_sum += value - first;
    square_sum += (value - first) * (value - first);
    ++count;
  }
  double mean() const { return sum / static_cast<double>(count); }
  double std() const {
    const double n = static_cast<double>(count);
    return std::sqrt(std::max(0.0, square_sum / n - (shifted_sum / n) * (shifted_sum / n)));
  }
};

using NamedSeries = std::vector<std::pair<std::string, Series>>;

Series& find(NamedSeries& list, const std::string& name) {
  for (auto& [known, series] : list) {
    if (known == name) return series;
  }
  return list.emplace_back(name, Series{}).second;
}

void set_component(Metrics& metrics, const std::vector<TrajectoryGroup>& groups, size_t component_idx,
                   const std::string& name) {
  Series scores;
  NamedSeries parts;
  for (const TrajectoryGroup& group : groups) {
    for (const Trajectory& trajectory : group.trajectories) {
      if (component_idx >= trajectory.score.breakdown.size()) continue;
      const ComponentScore& component = trajectory.score.breakdown[component_idx];
      if (component.status != ScoreStatus::kOk) continue;
      scores.add(component.score);
      for (const PartScore& part : component.parts) find(parts, part.name).add(part.value);
    }
  }
  if (scores.count == 0) return;
  metrics.set("reward/" + name + "/mean", scores.mean());
  metrics.set("reward/" + name + "/std", scores.std());
  for (const auto& [part, series] : parts) metrics.set("reward/" + name + "/" + part + "/mean", series.mean());
}

struct GroupCounts {
  double skipped = 0.0;  // fewer than two valid
  double mixed = 0.0;
  double all_right = 0.0;
  double all_wrong = 0.0;
  double bits_bound = 0.0;
};

GroupCounts count_groups(const std::vector<TrajectoryGroup>& groups) {
  GroupCounts counts;
  for (const TrajectoryGroup& group : groups) {
    std::vector<double> rewards;
    for (const Trajectory& trajectory : group.trajectories) {
      if (trajectory.is_valid) rewards.push_back(trajectory.score.reward);
    }
    counts.skipped += rewards.size() < 2 ? 1.0 : 0.0;
    if (rewards.empty()) continue;
    const auto [worst, best] = std::minmax_element(rewards.begin(), rewards.end());
    if (*worst != *best) {
      counts.mixed += 1.0;
    } else {
      (*best > 0.0 ? counts.all_right : counts.all_wrong) += 1.0;
    }
    const double num_best = static_cast<double>(std::count(rewards.begin(), rewards.end(), *best));
    counts.bits_bound +=
        bits_bound(num_best / static_cast<double>(rewards.size()), static_cast<int64_t>(rewards.size()));
  }
  return counts;
}

void set_episodes(Metrics& metrics, const std::vector<TrajectoryGroup>& groups) {
  Series turns;
  Series inserted;
  std::map<std::string, double> reasons;
  for (const TrajectoryGroup& group : groups) {
    for (const Trajectory& trajectory : group.trajectories) {
      if (!trajectory.episode || trajectory.episode->failure != FailureKind::kNone) continue;
      turns.add(static_cast<double>(trajectory.episode->num_turns()));
      inserted.add(static_cast<double>(trajectory.completion.ids.size()) -
                   static_cast<double>(trajectory.completion.num_sampled()));
      reasons[std::string(stop_reason_name(trajectory.episode->stop_reason))] += 1.0;
    }
  }
  if (turns.count == 0) return;
  metrics.set("episode/turns_mean", turns.mean());
  metrics.set("episode/inserted_tokens_mean", inserted.mean());
  for (const auto& [reason, count] : reasons) {
    metrics.set("episode/" + reason + "_frac", count / static_cast<double>(turns.count));
  }
}

}  // namespace

Metrics rollout_metrics(const std::vector<TrajectoryGroup>& groups, const std::vector<std::string>& component_names) {
  Series rewards;
  Series lengths;
  double num_failed = 0.0;
  std::map<std::string, double> failed_kinds;
  double num_truncated = 0.0;
  for (const TrajectoryGroup& group : groups) {
    for (const Trajectory& trajectory : group.trajectories) {
      if (trajectory.is_valid) rewards.add(trajectory.score.reward);
      if (trajectory.score.status == ScoreStatus::kFailed) {
        num_failed += 1.0;
        failed_kinds[std::string(failure_name(trajectory.score.kind))] += 1.0;
      }
      num_truncated += trajectory.completion.finish_reason == FinishReason::kLength;
      lengths.add(static_cast<double>(trajectory.completion.num_sampled()));
    }
  }
  const double num_completions = std::max(1.0, static_cast<double>(lengths.count));
  const double num_groups = std::max(1.0, static_cast<double>(groups.size()));
  const GroupCounts counts = count_groups(groups);
  Metrics metrics;
  if (rewards.count > 0) metrics.set("reward/mean", rewards.mean());
  for (size_t i = 0; i < component_names.size(); ++i) set_component(metrics, groups, i, component_names[i]);
  metrics.set("reward/failed", num_failed);
  metrics.set("reward/failed_frac", num_failed / num_completions);
  for (const auto& [kind, count] : failed_kinds) metrics.set("reward/failed/" + kind, count);
  metrics.set("group/skipped_frac", counts.skipped / num_groups);
  metrics.set("group/mixed_frac", counts.mixed / num_groups);
  metrics.set("group/all_right_frac", counts.all_right / num_groups);
  metrics.set("group/all_wrong_frac", counts.all_wrong / num_groups);
  metrics.set("rollout/tokens", lengths.sum);
  if (lengths.count > 0) metrics.set("rollout/length_mean", lengths.mean());
  metrics.set("rollout/truncated_frac", num_truncated / num_completions);
  metrics.set("info/bits_bound", counts.bits_bound);
  set_episodes(metrics, groups);
  return metrics;
}

}  // namespace noregret
