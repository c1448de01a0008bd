#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/error.h"
#include "noregret/reward/rubric.h"

// One function a verb, each given what its flags hold. They print results on stdout, everything else on stderr.
namespace noregret {

struct TrainArgs {
  std::string config;
  std::vector<std::string> set;
  std::string run_dir;  // empty = runs/<config name>
  std::string resume = "auto";
  std::vector<std::string> allow;
  std::optional<int64_t> steps;
  std::optional<int64_t> threads;
};

struct ReplayArgs {
  std::string run;
  int64_t step = 0;
  std::optional<int64_t> threads;
};

struct EvalArgs {
  std::string config;
  std::vector<std::string> set;
  std::string adapter;  // "none" = the base; empty = the config's start policy
  std::optional<int64_t> samples;
  std::optional<double> temperature;
  std::optional<int64_t> limit;
  std::string output;  // JSONL of all completions
  bool json = false;
};

struct GenerateArgs {
  std::string model_dir;
  std::string adapter;
  std::string prompt;
  bool has_prompt = false;
  std::string input;
  bool chat = false;
  int64_t samples = 1;
  int64_t max_new_tokens = 256;
  double temperature = 1.0;
  uint64_t seed = 1;
  std::string device = "auto";
  int64_t threads = 0;
  bool json = false;
};

struct ScoreArgs {
  std::string model_dir;
  std::string adapter;
  std::string input;
  double temperature = 1.0;
  std::string device = "auto";
  int64_t threads = 0;
};

struct TokenizeArgs {
  std::string model_dir;
  std::string input;
  bool decode = false;
  bool chat = false;
  bool bos = false;
  bool special = false;
};

struct ExportArgs {
  std::string source;
  std::string out_dir;
  bool merge = false;
  std::string dtype;  // empty = the base's
};

struct RewardTestArgs {
  std::string plugin;
  std::string input;
  std::string options = "{}";
  std::string isolation = "process";
  double timeout_s = 10.0;
  int64_t workers = 0;
  bool json = false;
};

struct GradeArgs {
  std::string input;
  std::string from = "answer";
  std::vector<std::string> set;
  std::string worker;  // empty = beside the program
};

// Each returns kOk, or kData when a filter met bad lines.
ExitCode run_train(const TrainArgs& args, const RewardHost& host);
ExitCode run_replay(const ReplayArgs& args, const RewardHost& host);
ExitCode run_eval(const EvalArgs& args, const RewardHost& host);
ExitCode run_generate(const GenerateArgs& args);
ExitCode run_score(const ScoreArgs& args);
ExitCode run_tokenize(const TokenizeArgs& args);
ExitCode run_import(const std::string& gguf, const std::string& out_dir, const std::string& dtype);
ExitCode run_export(const ExportArgs& args);
ExitCode run_check(const std::string& config, const std::vector<std::string>& set, const RewardHost& host);
ExitCode run_reward_test(const RewardTestArgs& args, const RewardHost& host);
ExitCode run_grade(const GradeArgs& args);
ExitCode run_version();

std::string version_text();  // "0.1.0"

}  // namespace noregret
