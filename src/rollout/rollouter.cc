#include "noregret/rollout/rollouter.h"

#include <map>

#include "noregret/base/check.h"
#include "noregret/base/clock.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

std::vector<Rng> streams_of(const RolloutContext& context, const RolloutRequest& request, int64_t task_idx,
                            int64_t first_sample) {
  std::vector<Rng> streams;
  for (int64_t i = 0; i < request.group_size; ++i) {
    streams.push_back(Rng::stream(context.seed, request.purpose,
                                  {static_cast<uint64_t>(request.step), static_cast<uint64_t>(task_idx),
                                   static_cast<uint64_t>(first_sample + i)}));
  }
  return streams;
}

// Groups with tasks and prompts, and what the generator is asked for them.
std::vector<TrajectoryGroup> prepare(const RolloutContext& context, const AdapterStack& policy,
                                     const RolloutRequest& request, std::vector<GenerateRequest>& generate) {
  const std::string digest = context.model->policy_digest(policy);
  std::map<int64_t, int64_t> num_samples;  // of each task index so far
  std::vector<TrajectoryGroup> groups;
  for (const int64_t task_idx : request.task_indices) {
    TrajectoryGroup group;
    group.task = context.tasks->get(request.split, task_idx);
    group.prompt_ids = encode_chat(*context.tokenizer, *context.chat, group.task.messages, true).ids;
    group.prompt_text = context.chat->render_text(group.task.messages, true);
    group.adapter_digest = digest;
    group.policy_version = request.purpose == Purpose::kTrain ? request.step - 1 : request.step;
    int64_t& first_sample = num_samples[task_idx];
    generate.push_back(
        GenerateRequest{group.prompt_ids, streams_of(context, request, task_idx, first_sample), group.task.id});
    first_sample += request.group_size;
    groups.push_back(std::move(group));
  }
  return groups;
}

std::string text_of(const Tokenizer& tokenizer, const Completion& completion) {
  std::span<const int64_t> ids = completion.ids;
  if (completion.finish_reason == FinishReason::kStop) ids = ids.first(ids.size() - 1);
  return tokenizer.decode(ids, true);
}

void score(const Rubric& rubric, const std::string& truncated, std::vector<TrajectoryGroup>& groups) {
  std::vector<ScoreItem> items;
  std::vector<Trajectory*> trajectories;
  for (TrajectoryGroup& group : groups) {
    const std::string metadata = dump_json(group.task.metadata);
    for (Trajectory& trajectory : group.trajectories) {
      items.push_back(ScoreItem{cat(group.task.id, "#", trajectory.completion.sample_idx), group.prompt_text,
                                trajectory.text, group.task.reference, metadata,
                                std::string(finish_reason_name(trajectory.completion.finish_reason))});
      trajectories.push_back(&trajectory);
    }
  }
  std::vector<RubricResult> results = rubric.score(items);
  NOREGRET_CHECK(results.size() == items.size(), results.size(), " results for ", items.size(), " items");
  for (size_t i = 0; i < results.size(); ++i) {
    Trajectory& trajectory = *trajectories[i];
    trajectory.score = std::move(results[i]);
    const bool is_masked = truncated == "mask" && trajectory.completion.finish_reason == FinishReason::kLength;
    trajectory.is_valid = trajectory.score.status == ScoreStatus::kOk && !is_masked;
  }
}

}  // namespace

std::vector<TrajectoryGroup> rollout(const RolloutContext& context, const AdapterStack& policy,
                                     const RolloutRequest& request, const RolloutProgress& progress,
                                     RolloutTiming* timing) {
  NOREGRET_CHECK(context.model && context.tokenizer && context.chat && context.tasks && context.rubric,
                 "a part of the context is missing");
  const Stopwatch generating;
  std::vector<GenerateRequest> generate;
  std::vector<TrajectoryGroup> groups = prepare(context, policy, request, generate);
  GenerateOptions options = request.generate;
  options.stop_ids = context.chat->stop_ids(*context.tokenizer);
  const std::vector<int64_t>& eos_ids = context.model->config().eos_token_ids;
  options.stop_ids.insert(options.stop_ids.end(), eos_ids.begin(), eos_ids.end());
  Generator::OnFinished on_finished;
  if (progress) {
    on_finished = [&progress](int64_t finished, int64_t total, int64_t /*tokens*/) {
      progress("sampling", finished, total);
    };
  }
  std::vector<std::vector<Completion>> completions =
      Generator(*context.model, policy, options).generate(generate, on_finished);
  int64_t num_tokens = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    for (Completion& completion : completions[i]) {
      num_tokens += static_cast<int64_t>(completion.ids.size());
      Trajectory trajectory;
      trajectory.text = text_of(*context.tokenizer, completion);
      trajectory.completion = std::move(completion);
      groups[i].trajectories.push_back(std::move(trajectory));
    }
  }
  const double generate_s = generating.seconds();
  const Stopwatch scoring;
  const int64_t num_items = static_cast<int64_t>(groups.size()) * request.group_size;
  if (progress) progress("scoring", 0, num_items);
  score(*context.rubric, request.truncated, groups);
  if (progress) progress("scoring", num_items, num_items);
  if (timing != nullptr) *timing = RolloutTiming{generate_s, scoring.seconds(), num_tokens};
  return groups;
}

}  // namespace noregret
