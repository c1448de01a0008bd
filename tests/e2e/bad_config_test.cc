// What is wrong on the command line or in a config: exit codes 64 and 78.
#include "noregret/tensor/device.h"
#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

constexpr int kUsage = 64;
constexpr int kData = 65;
constexpr int kConfig = 78;

const std::vector<std::string> kConfigVerbs = {"train", "eval", "check"};
const std::vector<std::string> kTwoVerbs = {"train", "check"};  // for variants: a LibTorch process costs half a second

// A text of rl.yaml for another.
std::function<void(const fs::path&)> rl_yaml(const std::string& from, const std::string& to) {
  return [=](const fs::path& folder) { replace_in(folder / "rl.yaml", from, to); };
}

BadInputTable& flags() {
  static BadInputTable table({
      {
          {"NoVerb", {}, kUsage, {"train", "noregret --help"}},
          {"UnknownVerb", {"trian", "rl.yaml"}, kUsage, {"'trian'", "did you mean 'train'?"}},
          {"UnknownVerbOfReward", {"reward", "tset", "gsm8k_answer"}, kUsage, {"'tset'", "did you mean 'test'?"}},
          {"RewardWithoutVerb", {"reward"}, kUsage, {"reward", "test"}},
          {"TrainWithoutConfig", {"train"}, kUsage, {"config"}},
          {"ScoreWithoutInput", {"score", "model"}, kUsage, {"--input"}},
          {"FlagWithoutValue", {"train", "rl.yaml", "--steps"}, kUsage, {"--steps"}},
          {"StepsNegative", {"train", "rl.yaml", "--steps", "-1"}, kUsage, {"--steps", "-1", "want", "0"}},
          {"StepsNoInteger", {"train", "rl.yaml", "--steps", "many"}, kUsage, {"--steps", "many", "integer"}},
          {"StepsFraction", {"train", "rl.yaml", "--steps", "1.5"}, kUsage, {"--steps", "1.5", "integer"}},
          {"StepsBeyond64Bits", {"train", "rl.yaml", "--steps", "99999999999999999999"}, kUsage, {"--steps", "want"}},
          {"StepsWithLeadingZero", {"train", "rl.yaml", "--steps", "010"}, kUsage, {"--steps", "010", "integer"}},
          {"ThreadsZero", {"train", "rl.yaml", "--threads", "0"}, kUsage, {"--threads", "want", "1", "1024"}},
          {"ResumeUnknown",
           {"train", "rl.yaml", "--resume", "maybe"},
           kUsage,
           {"--resume", "auto", "required", "never"}},
          {"EvalSamplesZero", {"eval", "rl.yaml", "--samples", "0"}, kUsage, {"--samples", "want", "1"}},
          {"EvalLimitZero", {"eval", "rl.yaml", "--limit", "0"}, kUsage, {"--limit", "want", "1"}},
          {"EvalTemperatureZero", {"eval", "rl.yaml", "--temperature", "0"}, kUsage, {"--temperature", "more than 0"}},
          {"GenerateWithoutPrompt", {"generate", "model"}, kUsage, {"--prompt", "--input", "--chat"}},
          {"GenerateTwoInputs",
           {"generate", "model", "--prompt", "a", "--input", "-"},
           kUsage,
           {"--prompt", "--input"}},
          {"SamplesZero", call("generate") + std::vector<std::string>{"--samples", "0"}, kUsage, {"--samples", "want"}},
          {"SamplesThatNoMemoryHolds",
           call("generate") + std::vector<std::string>{"--samples", "1000000000000"},
           kUsage,
           {"--samples", "want"}},
          {"MaxNewTokensZero",
           {"generate", "model", "--prompt", "a", "--max-new-tokens", "0"},
           kUsage,
           {"--max-new-tokens", "want"}},
          {"TemperatureNegative",
           call("generate") + std::vector<std::string>{"--temperature", "-1"},
           kUsage,
           {"--temperature", "want"}},
          {"TemperatureNan",
           call("generate") + std::vector<std::string>{"--temperature", "nan"},
           kUsage,
           {"--temperature", "want"}},
          {"ScoreTemperatureNan",
           call("score") + std::vector<std::string>{"--temperature", "nan"},
           kUsage,
           {"--temperature", "want"}},
          {"ScoreTemperatureZero",
           call("score") + std::vector<std::string>{"--temperature", "0"},
           kUsage,
           {"--temperature", "more than 0"}},
          {"SeedNegative", call("generate") + std::vector<std::string>{"--seed", "-1"}, kUsage, {"--seed", "want"}},
          {"DeviceUnknown",
           call("generate") + std::vector<std::string>{"--device", "gpu"},
           kUsage,
           {"--device", "auto", "cpu", "cuda"}},
          {"DecodeWithChat", call("tokenize") + std::vector<std::string>{"--decode", "--chat"}, kUsage, {"--decode"}},
          {"ImportDtypeUnknown", {"import", "a.gguf", "out", "--dtype", "f64"}, kUsage, {"--dtype", "f32", "bf16"}},
          {"ExportDtypeUnknown", {"export", "run", "out", "--dtype", "f64"}, kUsage, {"--dtype", "f32", "bf16"}},
          {"ExportDtypeWithoutMerge", {"export", "run", "out", "--dtype", "f32"}, kUsage, {"--dtype", "--merge"}},
          {"RewardOptionsNoJson",
           call("reward_test") + std::vector<std::string>{"--options", "{strict"},
           kUsage,
           {"--options", "JSON"}},
          {"RewardOptionsNoObject",
           call("reward_test") + std::vector<std::string>{"--options", "[1]"},
           kUsage,
           {"--options", "object"}},
          {"SurplusArgument", {"check", "rl.yaml", "sft.yaml"}, kUsage, {"sft.yaml", "check --help"}},
      },
      at_verbs({"train", "eval", "check", "generate", "score", "tokenize", "reward_test"},
               {"UnknownFlag", {"--flux", "1"}, kUsage, {"--flux", "--help"}}),
      {
          {"MisspeltFlag",
           {"train", "rl.yaml", "--run-dri", "x"},
           kUsage,
           {"'--run-dri'", "did you mean '--run-dir'?"}},
          {"UnknownFlag_import", {"import", "a", "b", "--flux"}, kUsage, {"'--flux'", "import --help"}},
          {"UnknownFlag_export", {"export", "a", "b", "--flux"}, kUsage, {"'--flux'", "export --help"}},
          {"UnknownFlag_version", {"version", "--flux"}, kUsage, {"'--flux'", "version --help"}},
      },
  });
  return table;
}

BadInputTable& configs() {
  static BadInputTable table({
      at_verbs(kConfigVerbs, {"Missing",
                              {},
                              kConfig,
                              {"rl.yaml", "no such file"},
                              [](const fs::path& folder) { fs::remove(folder / "rl.yaml"); }}),
      at_verbs(kTwoVerbs, {"AFolder",
                           {},
                           kConfig,
                           {"rl.yaml", "folder, want a file"},
                           [](const fs::path& folder) {
                             fs::remove(folder / "rl.yaml");
                             fs::create_directory(folder / "rl.yaml");
                           }}),
      at_verbs(kTwoVerbs, {"NoYaml", {}, kConfig, {"rl.yaml:2:"}, rl_yaml("mode: rl", "mode: [rl")}),
      at_verbs(kConfigVerbs, {"UnknownKey",
                              {},
                              kConfig,
                              {"rl.yaml:8:1", "'rolout'", "did you mean 'rollout'?"},
                              rl_yaml("rollout:", "rolout:")}),
      at_verbs(kTwoVerbs, {"UnknownKeyInside",
                           {},
                           kConfig,
                           {"rl.yaml:8:", "rollout.group_sise", "'group_size'"},
                           rl_yaml("group_size", "group_sise")}),
      at_verbs(kConfigVerbs, {"WrongType",
                              {},
                              kConfig,
                              {"rl.yaml:8:", "rollout.groups", "'four'", "want an integer"},
                              rl_yaml("groups: 4", "groups: four")}),
      at_verbs(kTwoVerbs, {"OutOfRange",
                           {},
                           kConfig,
                           {"rl.yaml:8:", "rollout.group_size is 1", "at least 2"},
                           rl_yaml("group_size: 4", "group_size: 1")}),
      at_verbs(kTwoVerbs,
               {"NoneOfTheNames", {}, kConfig, {"rl.yaml:1:1", "'rll'", "rl, sft"}, rl_yaml("mode: rl", "mode: rll")}),
      at_verbs(kConfigVerbs, {"KeyTwice",
                              {},
                              kConfig,
                              {"rl.yaml:", "'seed'", "twice"},
                              [](const fs::path& folder) { append_to(folder / "rl.yaml", "seed: 4\n"); }}),
      at_verbs(kTwoVerbs, {"LearningRateNegative",
                           {},
                           kConfig,
                           {"rl.yaml:", "optimizer.lr", "above 0"},
                           rl_yaml("lr: 1e-2", "lr: -1e-2")}),
      at_verbs({"train", "check"},
               {"NoTask",
                {},
                kConfig,
                {"rl.yaml", "task"},
                rl_yaml("task: {name: gsm8k, path: digits.jsonl, eval_path: digits.jsonl, instruction: \"\"}\n", "")}),
      at_verbs(
          {"train", "check"},
          {"NoRewards",
           {},
           kConfig,
           {"rl.yaml", "rewards"},
           rl_yaml("  - plugin: gsm8k_answer\n    options: {strict: false}\n    weight: 0.1\n  - plugin: exact_match\n",
                   "  []\n")}),
      at_verbs(kConfigVerbs,
               {"SetWithoutValue", {"--set", "rollout.groups"}, kConfig, {"--set rollout.groups", "key=value"}}),
      at_verbs(kConfigVerbs, {"SetUnknownKey",
                              {"--set", "rollout.grups=2"},
                              kConfig,
                              {"--set rollout.grups=2", "'rollout.grups'", "did you mean 'groups'?"}}),
      at_verbs(kTwoVerbs,
               {"SetWrongType", {"--set", "train.steps=soon"}, kConfig, {"--set", "train.steps", "integer"}}),
      at_verbs(kTwoVerbs, {"SetIntoAScalar", {"--set", "seed.x=1"}, kConfig, {"--set seed.x=1"}}),
      at_verbs(
          kConfigVerbs,
          {"SetNoSuchElement", {"--set", "rewards[5].weight=1"}, kConfig, {"--set rewards[5].weight=1", "rewards"}}),
      at_verbs({"train", "sft", "check"}, {"TooManyLearningRates",
                                           {"--set", "optimizer.betas=[0.9]"},
                                           kConfig,
                                           {"--set", "optimizer.betas", "want 2"}}),
      at_verbs({"train", "eval", "check"}, {"TaskUnknown",
                                            {},
                                            kConfig,
                                            {"rl.yaml:7:", "'gsm9k'", "did you mean 'gsm8k'?"},
                                            rl_yaml("name: gsm8k", "name: gsm9k")}),
      at_verbs({"train", "eval", "check"}, {"TaskOptionUnknown",
                                            {},
                                            kConfig,
                                            {"rl.yaml:7:", "task.instruktion", "'instruction'"},
                                            rl_yaml("instruction:", "instruktion:")}),
      at_verbs({"train", "eval", "check"}, {"TaskFileMissing",
                                            {},
                                            kData,
                                            {"digits.jsonl", "no such file"},
                                            [](const fs::path& folder) { fs::remove(folder / "digits.jsonl"); }}),
      at_verbs({"train", "eval", "check"},
               {"ChatTemplateUnknown", {"--set", "model.chat_template=chatmi"}, kConfig, {"chatmi", "chatml"}}),
      {
          {"EvaluationWithoutProblems",
           {"train", "rl.yaml", "--run-dir", "runs/it", "--set", "eval.every=1"},
           kConfig,
           {"eval_path", "eval.every: 0"},
           rl_yaml("eval_path: digits.jsonl, ", "")},
          {"EvaluationWithoutProblems_check",
           {"check", "rl.yaml", "--set", "eval.every=1"},
           kConfig,
           {"eval_path", "eval.every: 0"},
           rl_yaml("eval_path: digits.jsonl, ", "")},
          {"EvaluationOfNothing",
           {"eval", "rl.yaml", "--set", "eval.greedy=false"},
           kConfig,
           {"eval.greedy", "eval.samples"}},
          {"EvaluationWithoutTask", {"eval", "sft.yaml"}, kConfig, {"task"}},
          {"KlInFullFineTuning",
           call("train") + std::vector<std::string>{"--set", "adapter=none", "--set", "objective.kl_coef=0.1"},
           kConfig,
           {"kl_coef", "adapter"}},
          {"CrossEntropyInRl",
           call("train") + std::vector<std::string>{"--set", "objective.name=cross_entropy"},
           kConfig,
           {"objective.name", "sft"}},
      },
      at_verbs(kConfigVerbs, {"PluginMissing",
                              {},
                              kConfig,
                              {"rl.yaml", "gsm8k_answr", "did you mean 'gsm8k_answer'?"},
                              rl_yaml("gsm8k_answer", "gsm8k_answr")}),
      at_verbs(kTwoVerbs, {"PluginFileMissing",
                           {},
                           kConfig,
                           {"mine.so", "no such file", "want a shared library"},
                           rl_yaml("gsm8k_answer", "./mine.so")}),
      at_verbs(kConfigVerbs, {"PluginIsText",
                              {},
                              kConfig,
                              {"rl.yaml", "mine.so", "cannot be loaded"},
                              [](const fs::path& folder) {
                                replace_in(folder / "rl.yaml", "gsm8k_answer", "./mine.so");
                                append_to(folder / "mine.so", "no library\n");
                              }}),
      at_verbs(kConfigVerbs, {"PluginOptionUnknown",
                              {},
                              kConfig,
                              {"rl.yaml:", "gsm8k_answer", "'strikt'", "did you mean 'strict'?"},
                              rl_yaml("strict: false", "strikt: false")}),
      at_verbs(kTwoVerbs, {"PluginOptionOfAnotherType",
                           {},
                           kConfig,
                           {"rl.yaml:", "gsm8k_answer", "strict", "true or false"},
                           rl_yaml("strict: false", "strict: 7")}),
      {
          {"PluginMissing_reward_test",
           {"reward", "test", "gsm8k_answr", "--input", "items.jsonl"},
           kConfig,
           {"gsm8k_answr", "did you mean 'gsm8k_answer'?"}},
          {"PluginIsNoPlugin_reward_test",
           {"reward", "test", "/proc/self/exe", "--input", "items.jsonl"},
           kConfig,
           {"/proc/self/exe"}},
          {"PluginOptionUnknown_reward_test",
           call("reward_test") + std::vector<std::string>{"--options", "{\"strikt\": true}"},
           kConfig,
           {"gsm8k_answer", "'strikt'", "did you mean 'strict'?"}},
      },
  });
  return table;
}

class BadFlag : public BadInputCase {};
TEST_P(BadFlag, IsOneLineWithTheFix) { flags().check(GetParam()); }
INSTANTIATE_TEST_SUITE_P(CommandLine, BadFlag, testing::Range(size_t{0}, flags().size()), case_names(flags()));

class BadConfig : public BadInputCase {};
TEST_P(BadConfig, IsOneLineWithPlaceAndFixAndLeavesNothing) { configs().check(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Yaml, BadConfig, testing::Range(size_t{0}, configs().size()), case_names(configs()));

TEST(BadDevice, CudaWithoutAGpuIsAConfigErrorThatNamesTheWayOut) {
  if (cuda_is_available()) GTEST_SKIP() << "a GPU is there";
  const WorkDir folder;
  const auto before = listing(folder.path());
  const std::vector<std::vector<std::string>> calls = {call("train") + std::vector<std::string>{"--set", "device=cuda"},
                                                       call("eval") + std::vector<std::string>{"--set", "device=cuda"},
                                                       call("check") + std::vector<std::string>{"--set", "device=cuda"},
                                                       call("generate") + std::vector<std::string>{"--device", "cuda"},
                                                       call("score") + std::vector<std::string>{"--device", "cuda"}};
  std::vector<Command> commands;
  for (const auto& args : calls) commands.push_back(noregret(folder.path(), args));
  for (const ProcessResult& result : run_all(commands)) {
    EXPECT_EQ(result.exit_code, kConfig);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
    EXPECT_THAT(result.err, testing::StartsWith("noregret: device: cuda"));
    EXPECT_THAT(result.err, testing::HasSubstr("device: cpu"));
  }
  EXPECT_EQ(listing(folder.path()), before);
}

}  // namespace
}  // namespace noregret::e2e
