#include "noregret/rollout/rollouter.h"

#include <map>
#include <optional>

#include "noregret/base/check.h"
#include "noregret/base/clock.h"
#include "noregret/base/text.h"
#include "noregret/reward/score_queue.h"
#include "rollout/episodes.h"

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

std::string text_of(const EpisodeEnd& episode) {
  std::vector<std::string> own;
  for (const Message& turn : episode.turns) {
    if (turn.role == "assistant") own.push_back(turn.content);
  }
  return join(own, "\n");
}

// The task's own, and how the episode went where there is one.
std::string metadata_of(const TrajectoryGroup& group, const Trajectory& trajectory) {
  Json metadata = group.task.metadata;
  if (trajectory.episode) metadata["episode"] = to_json(*trajectory.episode);
  return dump_json(metadata);
}

// What rewards are given of a completion.
ScoreItem item_of(const TrajectoryGroup& group, const Trajectory& trajectory) {
  return ScoreItem{cat(group.task.id, "#", trajectory.completion.sample_idx),
                   group.prompt_text,
                   trajectory.text,
                   group.task.reference,
                   metadata_of(group, trajectory),
                   std::string(finish_reason_name(trajectory.completion.finish_reason))};
}

// An environment that failed leaves nothing to judge.
RubricResult failed_result(const EpisodeEnd& episode, size_t num_components) {
  RubricResult result;
  result.error = episode.error;
  result.kind = episode.failure;
  result.breakdown.assign(num_components, failed_score(episode.failure, episode.error));
  return result;
}

bool has_episodes(const TaskSource& tasks, const std::vector<TrajectoryGroup>& groups) {
  return !groups.empty() && tasks.start(groups.front().task) != nullptr;
}

// Scores completions while others are sampled.
class Scoring {
 public:
  Scoring(const RolloutContext& context, const RolloutRequest& request, std::vector<TrajectoryGroup>& groups)
      : context_(context),
        request_(request),
        groups_(groups),
        queue_(*context.rubric, groups.size() * static_cast<size_t>(request.group_size)) {
    for (TrajectoryGroup& group : groups) group.trajectories.resize(static_cast<size_t>(request.group_size));
  }

  // `episode` where the source has them.
  void add(const Completion& completion, std::optional<EpisodeEnd> episode) {
    const auto group_idx = static_cast<size_t>(completion.request_idx);
    TrajectoryGroup& group = groups_[group_idx];
    Trajectory& trajectory = group.trajectories[static_cast<size_t>(completion.sample_idx)];
    trajectory.text = episode ? text_of(*episode) : text_of(*context_.tokenizer, completion);
    trajectory.completion = completion;
    trajectory.episode = std::move(episode);
    num_tokens_ += completion.num_sampled();
    if (has_failed(trajectory)) return;
    queue_.add(group_idx * static_cast<size_t>(request_.group_size) + static_cast<size_t>(completion.sample_idx),
               item_of(group, trajectory));
  }

  void finish(const ScoreTick& tick) {
    std::vector<RubricResult> results = queue_.finish(tick);
    size_t next = 0;
    for (TrajectoryGroup& group : groups_) {
      for (Trajectory& trajectory : group.trajectories) {
        trajectory.score = std::move(results[next++]);
        if (has_failed(trajectory)) {
          trajectory.score = failed_result(*trajectory.episode, context_.rubric->component_names().size());
        }
        const bool is_masked =
            request_.truncated == "mask" && trajectory.completion.finish_reason == FinishReason::kLength;
        trajectory.is_valid = trajectory.score.status == ScoreStatus::kOk && !is_masked;
      }
    }
  }

  int64_t num_tokens() const { return num_tokens_; }

 private:
  static bool has_failed(const Trajectory& trajectory) {
    return trajectory.episode && trajectory.episode->failure != FailureKind::kNone;
  }

  const RolloutContext& context_;
  const RolloutRequest& request_;
  std::vector<TrajectoryGroup>& groups_;
  int64_t num_tokens_ = 0;
  ScoreQueue queue_;
};

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
  int64_t num_over = 0;
  const int64_t num_items = static_cast<int64_t>(groups.size()) * request.group_size;
  Generator::OnFinished on_finished;
  ScoreTick on_wait;
  if (progress) {
    // The tokens tell that it gets on, also where no completion ends for long.
    on_finished = [&](int64_t finished, int64_t total, int64_t tokens) {
      num_over = finished;
      progress(cat("sampling, ", tokens, " tokens so far, completions"), finished, total);
    };
    on_wait = [&] { progress("waiting for environments, completions", num_over, num_items); };
  }
  Scoring scores(context, request, groups);
  std::optional<Episodes> episodes;
  if (has_episodes(*context.tasks, groups)) {
    episodes.emplace(context, groups, request.group_size, on_wait);
    options.conversation = &*episodes;
  }
  options.on_completion = [&](const Completion& completion) {
    scores.add(completion, episodes ? std::optional(episodes->take_end(completion)) : std::nullopt);
  };
  Generator(*context.model, policy, options).generate(generate, on_finished);
  const double generate_s = generating.seconds();
  const Stopwatch scoring;
  ScoreTick tick;
  if (progress) tick = [&] { progress("scoring", 0, num_items); };
  if (tick) tick();
  scores.finish(tick);
  if (progress) progress("scoring", num_items, num_items);
  if (timing != nullptr) *timing = RolloutTiming{generate_s, scoring.seconds(), scores.num_tokens()};
  return groups;
}

}  // namespace noregret
