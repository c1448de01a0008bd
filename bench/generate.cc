#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "bench/subject.h"
#include "noregret/base/check.h"
#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/rollout/generator.h"

namespace noregret::bench {
namespace {

std::vector<int64_t> lengths_of(const GenerateArgs& args) {
  const int64_t batch = args.groups * args.group_size;
  if (args.lengths.empty()) return std::vector<int64_t>(static_cast<size_t>(batch), args.new_tokens);
  if (static_cast<int64_t>(args.lengths.size()) != batch) {
    throw UsageError(
        cat("--lengths has ", args.lengths.size(), " numbers, want one for each of ", batch, " completions"));
  }
  return args.lengths;
}

std::vector<GenerateRequest> requests_for(const GenerateArgs& args, const std::vector<std::vector<int64_t>>& prompts,
                                          const std::vector<int64_t>& lengths) {
  std::vector<GenerateRequest> requests;
  for (int64_t g = 0; g < args.groups; ++g) {
    GenerateRequest& request = requests.emplace_back();
    request.prompt_ids = prompts[g];
    for (int64_t i = 0; i < args.group_size; ++i) {
      const int64_t idx = g * args.group_size + i;
      request.streams.push_back(
          Rng::stream(args.seed, Purpose::kEval, {static_cast<uint64_t>(g), static_cast<uint64_t>(i)}));
      request.max_new_tokens.push_back(lengths[idx]);
    }
  }
  return requests;
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

// What the adapter costs, by pairs of runs that follow each other: machines vary by more than it does.
Json in_turns(const GenerateArgs& args, const Subject& subject, const std::function<void(const AdapterStack&)>& run) {
  const AdapterStack stacks[] = {subject.stack(), {}};
  std::vector<double> seconds[2], ratios;
  const Stopwatch watch;
  while (watch.seconds() < args.turn_seconds || ratios.size() < 2) {
    for (const size_t i : {ratios.size() % 2, 1 - ratios.size() % 2})
      seconds[i].push_back(seconds_of(subject.model.device(), [&] { run(stacks[i]); }));
    ratios.push_back(seconds[0].back() / seconds[1].back());
  }
  const auto percent = [&](double q) { return rounded(100.0 * (quantile(ratios, q) - 1.0)); };
  return {{"pairs", ratios.size()},
          {"seconds_on", rounded(median(seconds[0]))},
          {"seconds_off", rounded(median(seconds[1]))},
          {"slower_by_percent", percent(0.5)},
          {"slower_by_quartiles", {percent(0.25), percent(0.75)}}};
}

}  // namespace

Json run_generate(const GenerateArgs& args) {
  if (args.turn_seconds > 0.0 && args.rank == 0) throw UsageError("--turn-seconds needs an adapter: give --rank too");
  const Subject subject = load_subject(args, false);
  const std::vector<int64_t> lengths = lengths_of(args);
  const auto prompts = ids_of(args, read_inputs(args), subject.model.config().vocab_size, args.groups, args.prompt_len);
  std::vector<GenerateRequest> requests = requests_for(args, prompts, lengths);
  GenerateOptions options;
  options.max_new_tokens = *std::max_element(lengths.begin(), lengths.end());
  options.temperature = args.samples ? 1.0 : 0.0;
  options.max_batch = args.max_batch;
  const int64_t useful = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});

  const auto run = [&](const AdapterStack& policy) {
    int64_t num_tokens = 0;
    const auto done = Generator(subject.model, policy, options).generate(requests, {});
    for (const auto& group : done) {
      for (const Completion& completion : group) num_tokens += static_cast<int64_t>(completion.ids.size());
    }
    NOREGRET_CHECK(num_tokens == useful, num_tokens, " new tokens, want ", useful);
  };
  const std::vector<double> seconds = timed(args, [&] { run(subject.stack()); });
  Json turns;
  if (args.turn_seconds > 0.0) turns = in_turns(args, subject, run);
  // The first token alone, from which the time of the other steps follows.
  const int64_t longest = options.max_new_tokens;
  options.max_new_tokens = 1;
  for (GenerateRequest& request : requests) request.max_new_tokens.clear();
  const std::vector<double> first =
      timed(args, [&] { Generator(subject.model, subject.stack(), options).generate(requests, {}); });

  const double total_s = median(seconds);
  const int64_t batch = args.groups * args.group_size;
  Json result = describe("generate", args, subject);
  result.update({{"batch", batch},
                 {"groups", args.groups},
                 {"group_size", args.group_size},
                 {"prompt_len", args.prompt_len},
                 {"new_tokens", longest},
                 {"sample", args.samples},
                 {"max_batch", args.max_batch},
                 {"useful_tokens", useful},
                 {"seconds_median", rounded(total_s)},
                 {"seconds_all", all_rounded(seconds)},
                 {"tokens_per_s", rounded(static_cast<double>(useful) / total_s)},
                 {"first_token_s", rounded(median(first))}});
  const double decode_s = total_s - median(first);
  if (args.lengths.empty() && longest > 1 && decode_s > 0) {
    result["decode_tokens_per_s"] = rounded(static_cast<double>(batch * (longest - 1)) / decode_s);
    result["step_ms"] = rounded(1000.0 * decode_s / static_cast<double>(longest - 1));
  }
  if (!turns.is_null()) result["turns"] = std::move(turns);
  add_peak_memory(result, subject.model.device());
  return result;
}

}  // namespace noregret::bench
