#include "bench/subject.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/rollout/packing.h"

namespace noregret::bench {
namespace {

std::vector<double> weights_of(const LearnArgs& args, const Json& inputs) {
  if (inputs.contains("weights")) return inputs["weights"].get<std::vector<double>>();
  std::vector<double> weights;
  for (int64_t i = 0; i < args.sequences; ++i) weights.push_back(random_stream(args, i).uniform(-1.0f, 1.0f));
  return weights;
}

int64_t num_loss_tokens(const LearnArgs& args) {
  if (args.loss_tokens >= args.length) {
    throw UsageError(cat("--loss-tokens is ", args.loss_tokens, ", want less than --length, which is ", args.length));
  }
  return args.loss_tokens > 0 ? args.loss_tokens : args.length / 2;
}

// The first tokens of each sequence are a prompt, its group's; the others carry loss.
std::vector<TrajectoryGroup> groups_of(const LearnArgs& args, const Json& inputs, int64_t vocab_size) {
  const auto sequences = ids_of(args, inputs, vocab_size, args.sequences, args.length);
  const std::vector<double> weights = weights_of(args, inputs);
  const int64_t prompt_len = args.length - num_loss_tokens(args);
  std::vector<TrajectoryGroup> groups;
  for (int64_t i = 0; i < args.sequences; ++i) {
    const std::vector<int64_t>& ids = sequences[i];
    if (i % args.group_size == 0) groups.emplace_back().prompt_ids.assign(ids.begin(), ids.begin() + prompt_len);
    Trajectory& trajectory = groups.back().trajectories.emplace_back();
    trajectory.completion.ids.assign(ids.begin() + prompt_len, ids.end());
    trajectory.completion.logprobs.assign(trajectory.completion.ids.size(), 0.0f);
    trajectory.is_valid = true;
    trajectory.advantage = weights.at(i);
  }
  return groups;
}

// Forward and input gradients of frozen weights: 2 operations each a weight and token (PaLM, arXiv:2204.02311, appendix
// B, less the weights' gradients). Attention and the adapter are left out.
double model_tflop(const CausalLm& model, int64_t num_rows, int64_t num_loss_tokens) {
  const LinearWeights weights = count_linear_weights(model);
  return 4e-12 * (static_cast<double>(weights.layers) * static_cast<double>(num_rows) +
                  static_cast<double>(weights.head) * static_cast<double>(num_loss_tokens));
}

}  // namespace

Json run_learn(const LearnArgs& args) {
  Subject subject = load_subject(args, true);
  Adam optimizer = optimizer_for(subject);
  const auto groups = groups_of(args, read_inputs(args), subject.model.config().vocab_size);
  // The gradient of an on-policy step, and a loss that another program can be compared by.
  Learner::Setup setup = learner_setup(subject, "cross_entropy");
  setup.train.microbatch_tokens = args.microbatch_tokens;
  setup.train.head_chunk_tokens = args.head_chunk_tokens;
  Learner learner(setup, optimizer);
  std::vector<double> losses;
  int64_t num_rows = 0;
  const std::vector<double> seconds = timed(args, [&] {
    TrainBatch batch = pack_groups(groups, args.microbatch_tokens, 1.0, subject.model.device());
    num_rows = 0;
    for (const Microbatch& microbatch : batch.microbatches) num_rows += microbatch.tokens.num_tokens();
    losses.push_back(learner.step(batch).get("loss/value"));
  });
  const double step_s = median(seconds);
  Json result = describe("learn", args, subject);
  result.update(
      {{"sequences", args.sequences},
       {"length", args.length},
       {"group_size", args.group_size},
       {"loss_tokens", args.sequences * num_loss_tokens(args)},
       {"microbatch_tokens", args.microbatch_tokens},
       {"head_chunk_tokens", args.head_chunk_tokens},
       {"rows", num_rows},
       {"trainable_parameters", num_parameters(optimizer)},
       {"seconds_median", rounded(step_s)},
       {"seconds_all", all_rounded(seconds)},
       {"tokens_per_s", rounded(static_cast<double>(args.sequences * args.length) / step_s)},
       {"tflops_4n", rounded(model_tflop(subject.model, num_rows, args.sequences * num_loss_tokens(args)) / step_s)},
       {"loss_first", losses.front()},
       {"loss_last", losses.back()}});
  add_peak_memory(result, subject.model.device());
  return result;
}

}  // namespace noregret::bench
