#include "bench/subject.h"
#include "noregret/rollout/packing.h"

namespace noregret::bench {
namespace {

std::vector<double> weights_of(const LearnArgs& args, const Json& inputs) {
  if (inputs.contains("weights")) return inputs["weights"].get<std::vector<double>>();
  std::vector<double> weights;
  for (int64_t i = 0; i < args.sequences; ++i) weights.push_back(random_stream(args, i).uniform(-1.0f, 1.0f));
  return weights;
}

// The first half of each sequence is a prompt, its group's; the second half carries loss.
std::vector<TrajectoryGroup> groups_of(const LearnArgs& args, const Json& inputs, int64_t vocab_size) {
  const auto sequences = ids_of(args, inputs, vocab_size, args.sequences, args.length);
  const std::vector<double> weights = weights_of(args, inputs);
  const int64_t half = args.length - args.length / 2;
  std::vector<TrajectoryGroup> groups;
  for (int64_t i = 0; i < args.sequences; ++i) {
    const std::vector<int64_t>& ids = sequences[i];
    if (i % args.group_size == 0) groups.emplace_back().prompt_ids.assign(ids.begin(), ids.begin() + half);
    Trajectory& trajectory = groups.back().trajectories.emplace_back();
    trajectory.completion.ids.assign(ids.begin() + half, ids.end());
    trajectory.completion.logprobs.assign(trajectory.completion.ids.size(), 0.0f);
    trajectory.is_valid = true;
    trajectory.advantage = weights.at(i);
  }
  return groups;
}

}  // namespace

Json run_learn(const LearnArgs& args) {
  Subject subject = load_subject(args, true);
  Adam optimizer = optimizer_for(subject);
  const auto groups = groups_of(args, read_inputs(args), subject.model.config().vocab_size);
  // The gradient of an on-policy step, and a loss that another program can be compared by.
  Learner learner(learner_setup(subject, "cross_entropy", args.microbatch_tokens), optimizer);
  std::vector<double> losses;
  int64_t num_rows = 0;
  const std::vector<double> seconds = timed(args, [&] {
    TrainBatch batch = pack_groups(groups, args.microbatch_tokens, 1.0, at::kCPU);
    num_rows = 0;
    for (const Microbatch& microbatch : batch.microbatches) num_rows += microbatch.tokens.num_tokens();
    losses.push_back(learner.step(batch).get("loss/value"));
  });
  const double step_s = median(seconds);
  Json result = describe("learn", args, subject);
  result.update({{"sequences", args.sequences},
                 {"length", args.length},
                 {"group_size", args.group_size},
                 {"microbatch_tokens", args.microbatch_tokens},
                 {"rows", num_rows},
                 {"trainable_parameters", num_parameters(optimizer)},
                 {"seconds_median", rounded(step_s)},
                 {"seconds_all", all_rounded(seconds)},
                 {"tokens_per_s", rounded(static_cast<double>(args.sequences * args.length) / step_s)},
                 {"loss_first", losses.front()},
                 {"loss_last", losses.back()},
                 {"peak_rss_mib", peak_rss_mib()}});
  return result;
}

}  // namespace noregret::bench
