#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "noregret/run/experiment.h"
#include "noregret/run/trainer.h"
#include "noregret/tensor/device.h"
#include "tests/run/letters.h"
#include "tests/support/scratch.h"

namespace noregret {

inline fs::path plugin_dir() { return fs::path(NOREGRET_BUILD_DIR) / "rewards"; }

inline RewardOptions reward_of(const std::string& plugin) {
  RewardOptions options;
  options.plugin = plugin;
  return options;
}

// SFT of an adapter on the letters.
inline RunConfig sft_config(const fs::path& model_dir) {
  RunConfig config;
  config.mode = "sft";
  config.model.path = model_dir.string();
  config.model.chat_template = "none";
  config.adapter->rank = 2;
  config.objective.name = "cross_entropy";
  config.data.batch_size = 4;
  config.optimizer.lr = "1e-2";
  config.train.steps = 6;
  config.train.save_every = 0;
  config.rewards = {reward_of("exact_match")};
  config.rollout.max_new_tokens = 2;
  return config;
}

// RL on the letters with one token a completion: among 32 samples of each of 6 prompts some are right.
inline RunConfig rl_config(const fs::path& model_dir) {
  RunConfig config = sft_config(model_dir);
  config.mode = "rl";
  config.objective.name = "is";
  config.rollout.groups = 6;
  config.rollout.group_size = 32;
  config.rollout.max_new_tokens = 1;
  config.rollout.max_batch = 96;
  config.optimizer.lr = "2e-2";
  return config;
}

// What one process of a run leaves: its summary and what it printed.
struct RunResult {
  RunSummary summary;
  std::string printed;
  std::string interruption;  // what() of the InterruptedError, if one ended it
};

// Trains in `run_dir` as the verb does, problems from `tasks`.
inline RunResult train(const RunConfig& config, const fs::path& run_dir, std::unique_ptr<TaskSource> tasks) {
  RunResult result;
  testing::internal::CaptureStderr();
  try {
    Inputs inputs = load_inputs(config, plugin_dir());
    inputs.tasks = std::move(tasks);
    Policy policy = load_policy(config, at::kCPU);
    RunDir::Setup setup;
    setup.path = run_dir;
    setup.config = write_fields(config);
    setup.manifest = Json::object();
    setup.tensorboard = false;
    RunDir run(setup);
    Reporter reporter(false);
    reporter.keep(run.log_file());
    SignalGuard signals;
    result.summary = Trainer({&config, &inputs, &policy, &run, &reporter, &signals}).run();
  } catch (const InterruptedError& e) {
    EXPECT_EQ(e.code(), ExitCode::kInterrupted);
    result.interruption = e.what();
  } catch (...) {
    testing::internal::GetCapturedStderr();
    throw;
  }
  result.printed = testing::internal::GetCapturedStderr();
  return result;
}

inline std::vector<Json> metrics_in(const fs::path& run_dir) {
  std::vector<Json> lines;
  std::istringstream in(text_of(run_dir / "metrics.jsonl"));
  for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line, "metrics.jsonl"));
  return lines;
}

// The newest checkpoint of a run, verified.
inline fs::path newest_checkpoint(const fs::path& run_dir) {
  const Artefact artefact = resolve_artefact(run_dir);
  EXPECT_EQ(artefact.warning, "");
  return artefact.folder;
}

// Everything that a run computed: its metrics, and the weights and moments of its newest checkpoint.
inline std::vector<std::string> results_of(const fs::path& run_dir) {
  const fs::path checkpoint = newest_checkpoint(run_dir);
  const bool is_adapter = fs::exists(checkpoint / "adapter_model.safetensors");
  return {checkpoint.filename().string(), text_of(run_dir / "metrics.jsonl"),
          sha256_file(checkpoint / (is_adapter ? "adapter_model.safetensors" : "model.safetensors")),
          sha256_file(checkpoint / "optimizer.safetensors")};
}

// A model folder for all tests of a suite, and a folder for runs.
class RunTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    set_num_threads(1);  // tensors of a few thousand numbers: threads would only wait for each other
    model_ = std::make_unique<ScratchDir>();
    write_tiny_model(model_->path() / "tiny");
    references_ = likely_answers(model_dir());
  }
  static void TearDownTestSuite() { model_.reset(); }
  static fs::path model_dir() { return model_->path() / "tiny"; }
  static const std::vector<std::string>& references() { return references_; }
  static std::unique_ptr<TaskSource> letters_with(Letters::OnCall on_call) {
    return std::make_unique<Letters>(references_, std::move(on_call));
  }
  // After `signal_after` problems were asked for, a stop signal comes, as from a terminal or a batch system; -1 = none.
  static std::unique_ptr<TaskSource> letters(int64_t signal_after = -1) {
    return letters_with([=](int64_t call) {
      if (call == signal_after) std::raise(SIGTERM);
    });
  }
  fs::path run_dir(const std::string& name = "run") const { return dir_.path() / name; }

  ScratchDir dir_;

 private:
  inline static std::unique_ptr<ScratchDir> model_;
  inline static std::vector<std::string> references_;
};

}  // namespace noregret
