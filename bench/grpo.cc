#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>

#include "bench/subject.h"
#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/objective/advantage.h"
#include "noregret/rollout/generator.h"
#include "noregret/rollout/packing.h"
#include "noregret/tensor/device.h"
#include "noregret/text/tokenizer.h"

namespace noregret::bench {
namespace {

std::optional<Tokenizer> find_tokenizer(const std::filesystem::path& model_dir) {
  if (!std::filesystem::exists(model_dir / "tokenizer.json")) return std::nullopt;
  return Tokenizer::load(model_dir);
}

std::vector<int64_t> random_ids(const GrpoArgs& args, int64_t vocab_size, int64_t idx) {
  Rng rng = random_stream(args, idx);
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < args.prompt_len; ++i) ids.push_back(static_cast<int64_t>(rng.below(vocab_size)));
  return ids;
}

// Prompts of digits, each of which both models' tokenizers make one token of.
std::vector<int64_t> digits(const GrpoArgs& args, const Json& inputs, const Tokenizer& tokenizer, int64_t idx) {
  std::string text;
  if (inputs.contains("texts")) {
    if (static_cast<size_t>(idx) >= inputs["texts"].size()) {
      throw UsageError(cat("--inputs has ", inputs["texts"].size(), " texts, want one for each prompt of each step"));
    }
    text = inputs["texts"][static_cast<size_t>(idx)].get<std::string>();
  } else {
    Rng rng = random_stream(args, idx);
    for (int64_t i = 0; i < args.prompt_len; ++i) text += static_cast<char>('0' + rng.below(10));
  }
  std::vector<int64_t> ids = tokenizer.encode(text);
  if (static_cast<int64_t>(ids.size()) != args.prompt_len) {
    throw DataError(cat("a prompt of digits has ", ids.size(), " tokens, want ", args.prompt_len,
                        "; the tokenizer must keep digits apart"));
  }
  return ids;
}

// Any cheap functions that differ inside a group.
double reward_of(const std::vector<int64_t>& ids) {
  return static_cast<double>(std::accumulate(ids.begin(), ids.end(), int64_t{0}) % 2);
}

double reward_of(const std::string& text) {
  int64_t sum = 0;
  for (const char c : text) sum += static_cast<unsigned char>(c);
  return static_cast<double>(sum % 2);
}

// The policy, its learner and the clocks of the parts of a step.
class GrpoLoop {
 public:
  explicit GrpoLoop(const GrpoArgs& args)
      : args_(args),
        inputs_(read_inputs(args)),
        tokenizer_(find_tokenizer(args.model_dir)),
        subject_(load_subject(args, true)),
        optimizer_(optimizer_for(subject_)) {
    Learner::Setup setup = learner_setup(subject_, "is");
    setup.train.microbatch_tokens = args.microbatch_tokens;
    setup.train.head_chunk_tokens = args.head_chunk_tokens;
    setup.exact = args.exact || subject_.model.device().is_cpu();
    learner_.emplace(setup, optimizer_);
  }

  void step() {
    const at::Device device = subject_.model.device();
    const Stopwatch generating;
    std::vector<TrajectoryGroup> groups = rollout();
    synchronize(device);
    rollout_s_.push_back(generating.seconds());
    for (TrajectoryGroup& group : groups) judge(group);
    TrainBatch batch = pack_groups(groups, args_.microbatch_tokens, 1.0, device);
    synchronize(device);
    const Stopwatch learning;
    const Metrics metrics = learner_->step(batch);
    synchronize(device);
    learner_s_.push_back(learning.seconds());
    if (metrics.has("policy/max_abs_logprob_diff"))
      max_diff_ = std::max(max_diff_, metrics.get("policy/max_abs_logprob_diff"));
    if (metrics.has("policy/mean_abs_logprob_diff")) mean_diffs_.push_back(metrics.get("policy/mean_abs_logprob_diff"));
    ++num_steps_;
  }

  Json result(const std::vector<double>& seconds) const {
    const auto measured = [this](const std::vector<double>& all) {
      return median({all.begin() + static_cast<int64_t>(args_.warmup), all.end()});
    };
    const double step_s = median(seconds);
    const int64_t new_tokens = args_.groups * args_.group_size * args_.new_tokens;
    Json result = describe("grpo", args_, subject_);
    result.update({{"groups", args_.groups},
                   {"group_size", args_.group_size},
                   {"prompt_len", args_.prompt_len},
                   {"new_tokens", args_.new_tokens},
                   {"max_batch", args_.max_batch},
                   {"microbatch_tokens", args_.microbatch_tokens},
                   {"head_chunk_tokens", args_.head_chunk_tokens},
                   {"trainable_parameters", num_parameters(optimizer_)},
                   {"step_s_median", rounded(step_s)},
                   {"step_s_all", all_rounded(seconds)},
                   {"rollout_s_median", rounded(measured(rollout_s_))},
                   {"learner_s_median", rounded(measured(learner_s_))},
                   {"new_tokens_per_s_of_whole_step", rounded(static_cast<double>(new_tokens) / step_s)},
                   {"max_abs_logprob_diff", max_diff_}});
    if (!mean_diffs_.empty()) {
      const double sum = std::accumulate(mean_diffs_.begin(), mean_diffs_.end(), 0.0);
      result["mean_abs_logprob_diff"] = sum / static_cast<double>(mean_diffs_.size());
    }
    add_peak_memory(result, subject_.model.device());
    return result;
  }

 private:
  std::vector<TrajectoryGroup> rollout() {
    std::vector<GenerateRequest> requests;
    std::vector<TrajectoryGroup> groups(static_cast<size_t>(args_.groups));
    const std::string digest = subject_.model.policy_digest(subject_.stack());
    for (int64_t g = 0; g < args_.groups; ++g) {
      TrajectoryGroup& group = groups[g];
      const int64_t prompt_idx = num_steps_ * args_.groups + g;
      group.prompt_ids = tokenizer_ ? digits(args_, inputs_, *tokenizer_, prompt_idx)
                                    : random_ids(args_, subject_.model.config().vocab_size, prompt_idx);
      group.adapter_digest = digest;
      group.policy_version = num_steps_;
      GenerateRequest& request = requests.emplace_back();
      request.prompt_ids = group.prompt_ids;
      for (int64_t i = 0; i < args_.group_size; ++i) {
        request.streams.push_back(
            Rng::stream(args_.seed, Purpose::kTrain,
                        {static_cast<uint64_t>(num_steps_), static_cast<uint64_t>(g), static_cast<uint64_t>(i)}));
      }
    }
    GenerateOptions options;
    options.max_new_tokens = args_.new_tokens;
    options.max_batch = args_.max_batch;
    auto done = Generator(subject_.model, subject_.stack(), options).generate(requests, {});
    for (size_t g = 0; g < groups.size(); ++g) {
      for (Completion& completion : done[g]) groups[g].trajectories.emplace_back().completion = std::move(completion);
    }
    return groups;
  }

  void judge(TrajectoryGroup& group) const {
    std::vector<double> rewards;
    for (Trajectory& trajectory : group.trajectories) {
      const std::vector<int64_t>& ids = trajectory.completion.ids;
      if (tokenizer_) trajectory.text = tokenizer_->decode(ids, true);
      trajectory.is_valid = true;
      rewards.push_back(tokenizer_ ? reward_of(trajectory.text) : reward_of(ids));
    }
    const auto advantages = group_advantages("grpo", rewards, std::vector<bool>(rewards.size(), true));
    for (size_t i = 0; i < advantages.size(); ++i) group.trajectories[i].advantage = advantages[i];
  }

  const GrpoArgs& args_;
  Json inputs_;
  std::optional<Tokenizer> tokenizer_;  // none: prompts are random ids
  Subject subject_;
  Adam optimizer_;
  std::optional<Learner> learner_;
  int64_t num_steps_ = 0;
  double max_diff_ = 0.0;
  std::vector<double> mean_diffs_;  // of each step
  std::vector<double> rollout_s_;
  std::vector<double> learner_s_;
};

}  // namespace

Json run_grpo(const GrpoArgs& args) {
  GrpoLoop loop(args);
  return loop.result(timed(args, [&] { loop.step(); }));
}

}  // namespace noregret::bench
