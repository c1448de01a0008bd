#include <algorithm>
#include <optional>

#include "bench/subject.h"
#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/objective/advantage.h"
#include "noregret/rollout/generator.h"
#include "noregret/rollout/packing.h"
#include "noregret/text/tokenizer.h"

namespace noregret::bench {
namespace {

// Prompts of digits, each of which both models' tokenizers make one token of.
std::vector<int64_t> digits(const GrpoArgs& args, const Json& inputs, const Tokenizer& tokenizer, int64_t idx) {
  std::string text;
  if (inputs.contains("texts")) {
    text = inputs["texts"].at(static_cast<size_t>(idx)).get<std::string>();
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

// Any cheap function that differs inside a group.
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
        tokenizer_(Tokenizer::load(args.model_dir)),
        subject_(load_subject(args, true)),
        optimizer_(optimizer_for(subject_)) {
    Learner::Setup setup = learner_setup(subject_, "is", args.microbatch_tokens);
    setup.exact = true;
    learner_.emplace(setup, optimizer_);
  }

  void step() {
    const Stopwatch generating;
    std::vector<TrajectoryGroup> groups = rollout();
    generate_s_.push_back(generating.seconds());
    const Stopwatch learning;
    for (TrajectoryGroup& group : groups) judge(group);
    TrainBatch batch = pack_groups(groups, args_.microbatch_tokens, 1.0, at::kCPU);
    const Metrics metrics = learner_->step(batch);
    learn_s_.push_back(learning.seconds());
    if (metrics.has("policy/max_abs_logprob_diff"))
      max_diff_ = std::max(max_diff_, metrics.get("policy/max_abs_logprob_diff"));
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
                   {"microbatch_tokens", args_.microbatch_tokens},
                   {"trainable_parameters", num_parameters(optimizer_)},
                   {"step_s_median", rounded(step_s)},
                   {"step_s_all", all_rounded(seconds)},
                   {"generate_s_median", rounded(measured(generate_s_))},
                   {"learn_and_rest_s_median", rounded(measured(learn_s_))},
                   {"new_tokens_per_s_of_whole_step", rounded(static_cast<double>(new_tokens) / step_s)},
                   {"max_abs_logprob_diff", max_diff_},
                   {"peak_rss_mib", peak_rss_mib()}});
    return result;
  }

 private:
  std::vector<TrajectoryGroup> rollout() {
    std::vector<GenerateRequest> requests;
    std::vector<TrajectoryGroup> groups(static_cast<size_t>(args_.groups));
    const std::string digest = subject_.model.policy_digest(subject_.stack());
    for (int64_t g = 0; g < args_.groups; ++g) {
      TrajectoryGroup& group = groups[g];
      group.prompt_ids = digits(args_, inputs_, tokenizer_, num_steps_ * args_.groups + g);
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
    auto done = Generator(subject_.model, subject_.stack(), options).generate(requests, {});
    for (size_t g = 0; g < groups.size(); ++g) {
      for (Completion& completion : done[g]) groups[g].trajectories.emplace_back().completion = std::move(completion);
    }
    return groups;
  }

  void judge(TrajectoryGroup& group) const {
    std::vector<double> rewards;
    for (Trajectory& trajectory : group.trajectories) {
      trajectory.text = tokenizer_.decode(trajectory.completion.ids, true);
      trajectory.is_valid = true;
      rewards.push_back(reward_of(trajectory.text));
    }
    const auto advantages = group_advantages("grpo", rewards, std::vector<bool>(rewards.size(), true));
    for (size_t i = 0; i < advantages.size(); ++i) group.trajectories[i].advantage = advantages[i];
  }

  const GrpoArgs& args_;
  Json inputs_;
  Tokenizer tokenizer_;
  Subject subject_;
  Adam optimizer_;
  std::optional<Learner> learner_;
  int64_t num_steps_ = 0;
  double max_diff_ = 0.0;
  std::vector<double> generate_s_;
  std::vector<double> learn_s_;
};

}  // namespace

Json run_grpo(const GrpoArgs& args) {
  GrpoLoop loop(args);
  return loop.result(timed(args, [&] { loop.step(); }));
}

}  // namespace noregret::bench
