// One workload of the engine, timed; prints one JSON object.
//
//   engine_bench generate|learn|grpo MODEL_DIR [options]; --help lists them
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>

#include "bench/workload.h"
#include "noregret/base/error.h"
#include "noregret/base/heap.h"

namespace noregret::bench {
namespace {

void add_common(CLI::App& verb, Common& args) {
  verb.add_option("model", args.model_dir, "Hugging Face folder")->required();
  verb.add_option(
      "--inputs", args.inputs,
      "JSON object with 'ids' (prompts or sequences), 'weights' (of sequences) or 'texts' (prompts of grpo)");
  verb.add_option("--device", args.device)->check(CLI::IsMember({"cpu", "cuda"}));
  verb.add_flag("--exact", args.exact, "on CUDA: sampler and learner with the same bits");
  verb.add_option("--threads", args.threads)->check(CLI::Range(1, 1024));
  verb.add_option("--repeat", args.repeat)->check(CLI::Range(1, 1000));
  verb.add_option("--warmup", args.warmup)->check(CLI::Range(0, 1000));
  verb.add_option("--rank", args.rank, "of a LoRA adapter on all linear layers; 0 = none")->check(CLI::Range(0, 4096));
  verb.add_flag("--adapt-head", args.adapts_head, "the adapter is on the LM head too");
  verb.add_option("--seed", args.seed);
}

void add_generate(CLI::App& app, GenerateArgs& args) {
  CLI::App& verb = *app.add_subcommand("generate", "new tokens a second, prefill included");
  add_common(verb, args);
  verb.add_option("--batch,--groups", args.groups, "prompts")->check(CLI::Range(1, 1 << 16));
  verb.add_option("--group-size", args.group_size, "completions a prompt")->check(CLI::Range(1, 1 << 16));
  verb.add_option("--prompt-len", args.prompt_len)->check(CLI::Range(1, 1 << 20));
  verb.add_option("--new-tokens", args.new_tokens)->check(CLI::Range(1, 1 << 20));
  verb.add_option("--lengths", args.lengths, "new tokens of each completion, comma-separated")->delimiter(',');
  verb.add_option("--max-batch", args.max_batch, "sequences that decode together")->check(CLI::Range(1, 1 << 16));
  verb.add_flag("--sample", args.samples, "at temperature 1; else greedy");
  verb.add_option(
          "--turn-seconds", args.turn_seconds,
          "then goes on with the adapter and without in turns for so long, at least two pairs, and tells what it costs")
      ->check(CLI::Range(0.0, 3600.0));
}

void add_learn(CLI::App& app, LearnArgs& args) {
  CLI::App& verb = *app.add_subcommand("learn", "seconds of a step: forward, loss, backward, Adam");
  args.rank = 8;
  add_common(verb, args);
  verb.add_option("--sequences", args.sequences)->check(CLI::Range(1, 1 << 16));
  verb.add_option("--length", args.length, "tokens of a sequence")->check(CLI::Range(2, 1 << 20));
  verb.add_option("--loss-tokens", args.loss_tokens, "at the end of each sequence; 0 = its last half")
      ->check(CLI::Range(0, 1 << 20));
  verb.add_option("--group-size", args.group_size, "sequences that share the tokens without loss")
      ->check(CLI::Range(1, 1 << 16));
  verb.add_option("--microbatch-tokens", args.microbatch_tokens)->check(CLI::Range(1, 1 << 24));
  verb.add_option("--head-chunk-tokens", args.head_chunk_tokens)->check(CLI::Range(0, 1 << 24));
}

void add_grpo(CLI::App& app, GrpoArgs& args) {
  CLI::App& verb = *app.add_subcommand("grpo", "seconds of rollout, reward, packing and learner's step together");
  args.rank = 8;
  add_common(verb, args);
  verb.add_option("--groups", args.groups)->check(CLI::Range(1, 1 << 16));
  verb.add_option("--group-size", args.group_size)->check(CLI::Range(2, 1 << 16));
  verb.add_option("--prompt-len", args.prompt_len)->check(CLI::Range(1, 1 << 20));
  verb.add_option("--new-tokens", args.new_tokens)->check(CLI::Range(1, 1 << 20));
  verb.add_option("--max-batch", args.max_batch, "sequences that decode together")->check(CLI::Range(1, 1 << 16));
  verb.add_option("--microbatch-tokens", args.microbatch_tokens)->check(CLI::Range(1, 1 << 24));
  verb.add_option("--head-chunk-tokens", args.head_chunk_tokens)->check(CLI::Range(0, 1 << 24));
}

int run(int argc, char** argv) {
  CLI::App app("Times one workload of the engine and prints a JSON object.");
  app.require_subcommand(1);
  GenerateArgs generate;
  LearnArgs learn;
  GrpoArgs grpo;
  add_generate(app, generate);
  add_learn(app, learn);
  add_grpo(app, grpo);
  try {
    app.parse(argc, argv);
    const std::string verb = app.get_subcommands().front()->get_name();
    const Json result = verb == "generate" ? run_generate(generate)
                        : verb == "learn"  ? run_learn(learn)
                                           : run_grpo(grpo);
    std::printf("%s\n", dump_json(result).c_str());
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  } catch (const Error& e) {
    std::fprintf(stderr, "engine_bench: %s\n", e.what());
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "engine_bench: %s\n", e.what());
    return static_cast<int>(ExitCode::kInternal);
  }
}

}  // namespace
}  // namespace noregret::bench

int main(int argc, char** argv) {
  noregret::prepare_heap();
  return noregret::bench::run(argc, argv);
}
