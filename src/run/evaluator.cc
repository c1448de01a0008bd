#include "noregret/run/evaluator.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// The same resamples for every evaluation of the same number of problems.
constexpr uint64_t kBootstrapSeed = 20250929;

std::string percent_text(const Interval& interval) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3f [%.3f, %.3f]", interval.mean, interval.low, interval.high);
  return text;
}

}  // namespace

Evaluator::Evaluator(RolloutContext context, EvalOptions options, int64_t max_new_tokens, int64_t max_batch)
    : context_(context),
      options_(options),
      max_new_tokens_(options.max_new_tokens > 0 ? options.max_new_tokens : max_new_tokens),
      max_batch_(max_batch) {
  if (context_.tasks == nullptr)
    throw ConfigError("evaluation needs a task; add task: {name: ...}, or set eval.every: 0");
  if (context_.rubric == nullptr)
    throw ConfigError("evaluation needs rewards; add rewards: [{plugin: ...}], or set eval.every: 0");
  if (context_.tasks->size(Split::kEval) == 0) {
    throw ConfigError("evaluation needs held-out problems; name them in the task (eval_path), or set eval.every: 0");
  }
  if (!options_.greedy && options_.samples == 0) {
    throw ConfigError("evaluation of nothing: eval.greedy is false and eval.samples 0; set one of them");
  }
}

std::vector<Evaluation> Evaluator::run(const AdapterStack& policy, const RolloutProgress& progress) const {
  std::vector<Evaluation> done;
  if (options_.greedy) done.push_back(evaluate(policy, "greedy", 1, 0.0, progress));
  if (options_.samples > 0)
    done.push_back(evaluate(policy, "sampled", options_.samples, options_.temperature, progress));
  return done;
}

Evaluation Evaluator::evaluate(const AdapterStack& policy, const std::string& name, int64_t num_samples,
                               double temperature, const RolloutProgress& progress) const {
  RolloutRequest request;
  request.split = Split::kEval;
  request.purpose = Purpose::kEval;
  request.task_indices.resize(static_cast<size_t>(std::min(options_.limit, context_.tasks->size(Split::kEval))));
  std::iota(request.task_indices.begin(), request.task_indices.end(), int64_t{0});
  request.group_size = num_samples;
  request.generate = GenerateOptions{
      .max_new_tokens = max_new_tokens_, .temperature = temperature, .stop_ids = {}, .max_batch = max_batch_};

  Evaluation result;
  result.name = name;
  result.num_samples = num_samples;
  result.groups = rollout(context_, policy, request, progress);
  const double right_score = context_.rubric->scorers().front()->max_reward();
  for (size_t i = 0; i < result.groups.size(); ++i) {
    double sum = 0.0;
    int64_t num_scored = 0;
    int64_t num_right = 0;
    for (const Trajectory& sample : result.groups[i].trajectories) {
      const ComponentScore& score = sample.score.breakdown.front();
      if (score.status != ScoreStatus::kOk) {
        ++result.num_failed;
        continue;
      }
      sum += score.score;
      ++num_scored;
      num_right += score.score >= right_score;
    }
    if (num_scored == 0) continue;
    result.problem_idx.push_back(request.task_indices[i]);
    result.accuracy.push_back(sum / static_cast<double>(num_scored));
    result.pass.push_back(pass_at_k(num_scored, num_right, num_scored));
  }
  if (result.accuracy.empty())
    throw RewardFailureError(cat("evaluation: all ", result.num_failed,
                                 " rewards failed: ", result.groups.front().trajectories.front().score.error));
  result.avg = mean_interval(result.accuracy, kBootstrapSeed);
  result.pass_at = mean_interval(result.pass, kBootstrapSeed);
  return result;
}

Metrics evaluation_metrics(const std::vector<Evaluation>& evaluations) {
  Metrics metrics;
  for (const Evaluation& evaluation : evaluations) {
    const std::string area = cat("eval/", evaluation.name, "/");
    metrics.set(area + "avg", evaluation.avg.mean);
    metrics.set(area + "avg_low", evaluation.avg.low);
    metrics.set(area + "avg_high", evaluation.avg.high);
    if (evaluation.num_samples > 1) metrics.set(cat(area, "pass@", evaluation.num_samples), evaluation.pass_at.mean);
    metrics.set(area + "problems", static_cast<double>(evaluation.accuracy.size()));
    metrics.set(area + "failed", static_cast<double>(evaluation.num_failed));
  }
  return metrics;
}

std::string evaluation_text(const std::vector<Evaluation>& evaluations) {
  std::string text;
  for (const Evaluation& evaluation : evaluations) {
    if (!text.empty()) text += "\n";
    const int64_t k = evaluation.num_samples;
    text += cat(evaluation.name, k > 1 ? cat(" avg@", k) : std::string(" accuracy"), " ", percent_text(evaluation.avg));
    if (k > 1) text += cat(", pass@", k, " ", percent_text(evaluation.pass_at));
    text += cat(" on ", evaluation.accuracy.size(), " problems");
    if (evaluation.num_failed > 0) text += cat(", ", evaluation.num_failed, " rewards failed");
  }
  return text;
}

std::optional<Interval> accuracy_change(const Evaluation& before, const Evaluation& after) {
  std::vector<double> change;
  size_t i = 0;
  for (size_t j = 0; j < after.problem_idx.size(); ++j) {
    while (i < before.problem_idx.size() && before.problem_idx[i] < after.problem_idx[j]) ++i;
    const bool is_in_both = i < before.problem_idx.size() && before.problem_idx[i] == after.problem_idx[j];
    if (is_in_both) change.push_back(after.accuracy[j] - before.accuracy[i]);
  }
  if (change.empty()) return std::nullopt;
  return bootstrap_mean(change, kBootstrapSeed);
}

}  // namespace noregret
