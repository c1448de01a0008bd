#include "noregret/run/cli.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>

#include "noregret/base/file.h"
#include "noregret/base/node.h"
#include "noregret/base/text.h"
#include "run/filter.h"
#include "run/out_of_memory.h"
#include "run/verbs.h"

namespace noregret {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 20;  // of things that take memory each
constexpr int64_t kMaxInteger = int64_t{1} << 53;

// The kind that a config would read: not octal, no digits after which something else stands.
Json value_of(const std::string& text) { return Node{.kind = Node::Kind::kScalar, .scalar = text}.to_json(); }

// CLI11's own checks let nan, 010 (as 8) and -1 (as 2^64 - 1) pass.
CLI::Validator whole_number(int64_t low, int64_t high) {
  const auto check = [=](std::string& text) -> std::string {
    const Json value = value_of(text);
    const bool is_good = value.is_number_integer() && value <= high && value >= low;
    return is_good ? "" : cat(quoted(text), ", want an integer from ", low, " to ", high);
  };
  return CLI::Validator(check, "");
}

CLI::Validator number_above_zero(bool or_zero) {
  const auto check = [=](std::string& text) -> std::string {
    const Json value = value_of(text);
    const bool is_good = value.is_number() && (value > 0 || (or_zero && value == 0));
    return is_good ? "" : cat(quoted(text), ", want a number of ", or_zero ? "at least" : "more than", " 0");
  };
  return CLI::Validator(check, "");
}

// The parsed flags of every verb and, once parsed, the one that was asked for.
struct CommandLine {
  TrainArgs train;
  ReplayArgs replay;
  EvalArgs eval;
  GenerateArgs generate;
  ScoreArgs score;
  TokenizeArgs tokenize;
  ExportArgs exported;
  RewardTestArgs reward_test;
  GradeArgs grade;
  std::string gguf, import_dir, import_dtype = "bf16";
  std::string check_config;
  std::vector<std::string> check_set;
  std::function<ExitCode()> chosen;
};

void add_train(CLI::App& app, CommandLine& line, const RewardHost& host) {
  CLI::App* verb = app.add_subcommand("train", "Train an adapter, or all weights, as a config says");
  TrainArgs& args = line.train;
  verb->add_option("config", args.config, "experiment, a YAML file")->required();
  verb->add_option("--set", args.set, "change a key: optimizer.lr=1e-4 (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  verb->add_option("--run-dir", args.run_dir, "where the run lies; default runs/<config name>");
  verb->add_option("--resume", args.resume, "go on from the run's checkpoint: auto (if there is one), required, never")
      ->check(CLI::IsMember({"auto", "required", "never"}));
  verb->add_option("--allow", args.allow, "a config key that may differ from the run's first start (may be repeated)")
      ->allow_extra_args(false)
      ->take_all();
  verb->add_option("--steps", args.steps, "updates in all, also on resume")->check(whole_number(0, kMaxInteger));
  verb->add_option("--threads", args.threads, "CPU threads")->check(whole_number(1, 1024));
  verb->footer("Example: noregret train configs/quickstart/rl.yaml --set optimizer.lr=1e-3 --run-dir runs/try");
  verb->callback([&line, host] { line.chosen = [&line, host] { return run_train(line.train, host); }; });
}

void add_replay(CLI::App& app, CommandLine& line, const RewardHost& host) {
  CLI::App* verb = app.add_subcommand("replay", "Recompute a step of a run, and say whether it comes out the same");
  verb->add_option("run", line.replay.run, "a run directory; it is only read")->required();
  verb->add_option("--step", line.replay.step, "the step, from 1 on")->required()->check(whole_number(1, kMaxInteger));
  verb->add_option("--threads", line.replay.threads, "CPU threads")->check(whole_number(1, 1024));
  verb->callback([&line, host] { line.chosen = [&line, host] { return run_replay(line.replay, host); }; });
}

void add_eval(CLI::App& app, CommandLine& line, const RewardHost& host) {
  CLI::App* verb = app.add_subcommand("eval", "Accuracy on held-out problems, with 95 % intervals");
  EvalArgs& args = line.eval;
  verb->add_option("config", args.config, "experiment whose model, task and rewards are used")->required();
  verb->add_option("--set", args.set, "change a key (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  verb->add_option("--adapter", args.adapter,
                   "a run, a checkpoint, a PEFT adapter, or none for the base; default: the config's start policy");
  verb->add_option("--samples", args.samples, "also K sampled completions a problem: avg@K, pass@K")
      ->check(whole_number(1, kMaxCount));
  verb->add_option("--temperature", args.temperature, "of the sampled completions")->check(number_above_zero(false));
  verb->add_option("--limit", args.limit, "problems")->check(whole_number(1, kMaxCount));
  verb->add_option("--output", args.output, "write every completion as JSON lines");
  verb->add_flag("--json", args.json, "print one JSON object");
  verb->callback([&line, host] { line.chosen = [&line, host] { return run_eval(line.eval, host); }; });
}

void add_generate(CLI::App& app, CommandLine& line) {
  CLI::App* verb = app.add_subcommand("generate", "Sample completions, or chat");
  GenerateArgs& args = line.generate;
  verb->add_option("model", args.model_dir, "Hugging Face model folder")->required();
  verb->add_option("--adapter", args.adapter, "a run, a checkpoint or a PEFT adapter");
  CLI::Option* prompt = verb->add_option("--prompt", args.prompt, "one prompt");
  verb->add_option("--input", args.input, "JSON lines with {\"prompt\"} or {\"messages\"}; - is stdin")
      ->excludes(prompt);
  verb->add_flag("--chat", args.chat,
                 "the prompt is a user's turn; without --prompt and --input: a conversation, one turn a line of stdin");
  verb->add_option("--samples", args.samples, "completions a prompt")->check(whole_number(1, kMaxCount));
  verb->add_option("--max-new-tokens", args.max_new_tokens, "tokens after which a completion is cut")
      ->check(whole_number(1, kMaxCount));
  verb->add_option("--temperature", args.temperature, "0 = greedy")->check(number_above_zero(true));
  verb->add_option("--seed", args.seed, "of the random streams")->check(whole_number(0, kMaxInteger));
  verb->add_option("--device", args.device, "auto, cpu, cuda")->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  verb->add_option("--threads", args.threads, "CPU threads")->check(whole_number(1, 1024));
  verb->add_flag("--json", args.json, "one JSON object a prompt, with ids and log-probs");
  verb->callback([&line, prompt] {
    line.generate.has_prompt = prompt->count() > 0;
    line.chosen = [&line] { return run_generate(line.generate); };
  });
}

void add_filters(CLI::App& app, CommandLine& line) {
  CLI::App* score = app.add_subcommand("score", "Log-probs of given ids or texts, JSON lines in and out");
  score->add_option("model", line.score.model_dir, "Hugging Face model folder")->required();
  score->add_option("--adapter", line.score.adapter, "a run, a checkpoint or a PEFT adapter");
  score->add_option("--input", line.score.input, "lines {\"ids\"} or {\"text\"}; - is stdin")->required();
  score->add_option("--temperature", line.score.temperature, "of the distribution")->check(number_above_zero(false));
  score->add_option("--device", line.score.device, "auto, cpu, cuda")->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  score->add_option("--threads", line.score.threads, "CPU threads")->check(whole_number(1, 1024));
  score->callback([&line] { line.chosen = [&line] { return run_score(line.score); }; });

  CLI::App* tokenize = app.add_subcommand("tokenize", "Text to ids or back, JSON lines in and out");
  tokenize->add_option("model", line.tokenize.model_dir, "folder with tokenizer.json")->required();
  tokenize
      ->add_option("--input", line.tokenize.input,
                   "lines {\"text\"}, with --chat {\"messages\"}, with --decode {\"ids\"}; - is stdin")
      ->required();
  tokenize->add_flag("--decode", line.tokenize.decode, "ids to text");
  tokenize->add_flag("--chat", line.tokenize.chat, "render messages with the model's chat template");
  tokenize->add_flag("--bos", line.tokenize.bos, "add what the tokenizer adds at the begin");
  tokenize->add_flag("--special", line.tokenize.special, "control tokens written in the text become their ids");
  tokenize->callback([&line] { line.chosen = [&line] { return run_tokenize(line.tokenize); }; });
}

void add_grade(CLI::App& app, CommandLine& line) {
  CLI::App* verb = app.add_subcommand("grade", "Compare mathematical answers with gold answers, JSON lines in and out");
  GradeArgs& args = line.grade;
  verb->add_option("--input", args.input, "lines {\"gold\", \"prediction\"}; - is stdin")->required();
  verb->add_option("--from", args.from, "the prediction is an answer, or a completion that holds one somewhere")
      ->check(CLI::IsMember({"answer", "completion"}));
  verb->add_option("--set", args.set, "change what counts: require_reduced=true (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  verb->add_option("--worker", args.worker, "the program noregret-grade-worker; default: the one beside this program");
  verb->callback([&line] { line.chosen = [&line] { return run_grade(line.grade); }; });
}

void add_files(CLI::App& app, CommandLine& line) {
  // Not `import` and `export`: words of the language.
  CLI::App* importing =
      app.add_subcommand("import", "GGUF to a Hugging Face folder (llama; F32, F16, BF16, Q8_0, Q4_0, Q4_1)");
  importing->add_option("gguf", line.gguf, "GGUF file")->required();
  importing->add_option("out", line.import_dir, "folder to make; must not exist")->required();
  importing->add_option("--dtype", line.import_dtype, "of the weights written: f32, bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  importing->callback(
      [&line] { line.chosen = [&line] { return run_import(line.gguf, line.import_dir, line.import_dtype); }; });

  CLI::App* exporting =
      app.add_subcommand("export", "A run's adapter as a PEFT folder, or merged as a Hugging Face model");
  exporting->add_option("source", line.exported.source, "a run or a checkpoint")->required();
  exporting->add_option("out", line.exported.out_dir, "folder to make; must not exist")->required();
  exporting->add_flag("--merge", line.exported.merge, "add the adapter to the base weights");
  exporting->add_option("--dtype", line.exported.dtype, "of merged weights: f32, bf16, f16; default as the base")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  exporting->callback([&line] { line.chosen = [&line] { return run_export(line.exported); }; });
}

void add_checks(CLI::App& app, CommandLine& line, const RewardHost& host) {
  CLI::App* check = app.add_subcommand("check", "Resolve and validate a config, print it; reads no weights");
  check->add_option("config", line.check_config, "experiment, a YAML file")->required();
  check->add_option("--set", line.check_set, "change a key (may be repeated)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  check->callback(
      [&line, host] { line.chosen = [&line, host] { return run_check(line.check_config, line.check_set, host); }; });

  CLI::App* reward = app.add_subcommand("reward", "Work with reward plugins");
  reward->require_subcommand(1);
  CLI::App* test = reward->add_subcommand("test", "Run a plugin on items as the trainer would");
  test->add_option("plugin", line.reward_test.plugin,
                   "bare name, path of a shared library or a Python file, or http:// address")
      ->required();
  test->add_option("--input", line.reward_test.input,
                   "lines {\"prompt\", \"completion\", \"reference\", \"metadata\"} and, if it helps, a right "
                   "completion, \"gold\"; - is stdin")
      ->required();
  test->add_option("--options", line.reward_test.options, "the plugin's options, a JSON object");
  test->add_option("--isolation", line.reward_test.isolation, "process, or none: a shared library in this one")
      ->check(CLI::IsMember({"process", "none"}));
  test->add_option("--timeout", line.reward_test.timeout_s, "seconds for one completion")
      ->check(number_above_zero(false));
  test->add_option("--workers", line.reward_test.workers, "processes, or requests in flight; 0 = one a core")
      ->check(whole_number(0, 64));
  test->add_flag("--json", line.reward_test.json, "JSON lines instead of a table");
  test->callback([&line, host] { line.chosen = [&line, host] { return run_reward_test(line.reward_test, host); }; });

  app.add_subcommand("version", "Print the version")->callback([&line] { line.chosen = run_version; });
}

int code(ExitCode exit_code) { return static_cast<int>(exit_code); }

void print_error(std::string text) {
  for (size_t at; (at = text.find('\n')) != std::string::npos;) text.replace(at, 1, "\\n");
  std::fprintf(stderr, "noregret: %s\n", text.c_str());
}

int guarded(const std::function<ExitCode()>& verb) {
  const char* const out_of_memory = "out of memory; lower rollout.max_batch or train.microbatch_tokens";
  try {
    const ExitCode result = verb();
    flush_stdout();
    return code(result);
  } catch (const Error& e) {
    print_error(e.what());
    return code(e.code());
  } catch (const fs::filesystem_error& e) {
    print_error(cat(e.path1().string(), ": ", e.code().message(), "; check the path and who may use it"));
    return code(ExitCode::kIo);
  } catch (const std::exception& e) {
    const std::string text = e.what();  // LibTorch adds a stack trace
    print_error(is_out_of_memory(e) ? out_of_memory : "internal error: " + text.substr(0, text.find('\n')));
  }
  return code(ExitCode::kInternal);
}

// `--set a=1 b=2` as `--set a=1 --set b=2`, in the reverse order that CLI11 takes. An option that took whatever follows
// would swallow the config.
std::vector<std::string> reversed_args(int argc, const char* const* argv) {
  std::vector<std::string> args;
  bool is_in_set = false;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const bool is_flag = text.rfind("--", 0) == 0;
    if (is_in_set && !is_flag && args.back() != "--set" && text.find('=') != std::string::npos) {
      args.emplace_back("--set");
    }
    if (is_flag) is_in_set = text == "--set";
    args.push_back(text);
  }
  return {args.rbegin(), args.rend()};
}

std::vector<std::string> flags_of(const CLI::App& verb) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

// What is wrong with the command line, and where its help is.
std::string usage_text(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* verb = &app;
  std::string command = "noregret";
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().front();
    command += " " + verb->get_name();
  }
  std::vector<std::string> verbs;
  for (const CLI::App* one : verb->get_subcommands([](const CLI::App*) { return true; })) {
    verbs.push_back(one->get_name());
  }
  const std::vector<std::string> unknown = verb->remaining();
  const std::string first = unknown.empty() ? "" : unknown.front().substr(0, unknown.front().find('='));
  std::string text = error.what();
  if (first.rfind('-', 0) == 0) {
    text = cat("unknown flag ", quoted(first), did_you_mean(first, flags_of(*verb)));
  } else if (!verbs.empty()) {
    text =
        unknown.empty() ? cat(command, ": no verb") : cat("unknown verb ", quoted(first), did_you_mean(first, verbs));
    text += "; verbs: " + join(verbs, ", ");
  } else if (!unknown.empty()) {
    text = cat("unexpected argument ", quoted(unknown.front()));
  }
  return cat(text, "; see ", command, " --help");
}

}  // namespace

int run_cli(int argc, const char* const* argv, const std::filesystem::path& program_dir,
            const std::string& search_path) {
  const RewardHost host(program_dir / "rewards", search_path);
  CommandLine line;
  CLI::App app("noregret: reinforcement learning and fine-tuning of LoRA adapters on one machine", "noregret");
  app.require_subcommand(1);
  app.footer(
      "`noregret VERB --help` explains a verb. Exit codes: 0 done, 64 usage, 65 bad input, 70 internal, 74 disk, 75 "
      "stopped, 76 diverged,\n"
      "77 rewards failed, 78 config.");
  add_train(app, line, host);
  add_replay(app, line, host);
  add_eval(app, line, host);
  add_generate(app, line);
  add_filters(app, line);
  add_grade(app, line);
  add_files(app, line);
  add_checks(app, line, host);
  try {
    app.parse(reversed_args(argc, argv));
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    print_error(usage_text(app, e));
    return code(ExitCode::kUsage);
  }
  return guarded(line.chosen);
}

}  // namespace noregret
