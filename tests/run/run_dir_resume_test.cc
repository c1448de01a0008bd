#include "noregret/base/error.h"
#include "tests/run/run_dir_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class RunDirResumeTest : public testing::Test {
 protected:
  RunDirResumeTest() : path_(dir_.path() / "run"), setup_(run_setup(path_)) {}

  void run_steps(int64_t begin, int64_t end) {
    RunDir run(setup_);
    log_and_save(run, begin, end);
  }
  template <class ErrorType>
  std::string error() const {
    return message_of<ErrorType>([&] { RunDir run(setup_); });
  }
  fs::path checkpoint(int step) const { return path_ / "checkpoints" / ("step_00000" + std::to_string(step)); }
  void flip_a_bit(const fs::path& file) const {
    std::string bytes = text_of(file);
    bytes[bytes.size() / 2] ^= 1;
    std::ofstream(file, std::ios::binary) << bytes;
  }

  ScratchDir dir_;
  fs::path path_;
  RunDir::Setup setup_;
};

TEST_F(RunDirResumeTest, GoesOnFromTheNewestCheckpoint) {
  run_steps(1, 3);
  const RunDir run(setup_);
  EXPECT_EQ(run.checkpoint(), checkpoint(3));
  EXPECT_THAT(run.warnings(), IsEmpty());
}

// A process is killed when the checkpoint is whole and LATEST still names the one before.
TEST_F(RunDirResumeTest, LatestIsMadeToNameTheCheckpointThatIsTaken) {
  run_steps(1, 2);
  const std::string before = text_of(path_ / "LATEST");
  run_steps(3, 3);
  const std::string after = text_of(path_ / "LATEST");
  for (const std::string& left : {before, std::string("nonsense"), std::string()}) {
    if (left.empty()) {
      fs::remove(path_ / "LATEST");
    } else {
      std::ofstream(path_ / "LATEST") << left;
    }
    EXPECT_EQ(RunDir(setup_).checkpoint(), checkpoint(3));
    EXPECT_EQ(text_of(path_ / "LATEST"), after) << left;
  }
}

TEST_F(RunDirResumeTest, ADamagedNewestCheckpointKeepsItsLatest) {
  run_steps(1, 3);
  const std::string latest = text_of(path_ / "LATEST");
  flip_a_bit(checkpoint(3) / "state.json");
  EXPECT_EQ(RunDir(setup_).checkpoint(), checkpoint(2));
  EXPECT_EQ(text_of(path_ / "LATEST"), latest);
}

TEST_F(RunDirResumeTest, LinesBeyondTheCheckpointAreCutOff) {
  run_steps(1, 2);
  const std::string metrics = text_of(path_ / "metrics.jsonl");
  const std::string timing = text_of(path_ / "timing.jsonl");
  {
    RunDir run(setup_);
    run.log(3, metrics_of({{"a", 1.0}}), metrics_of({{"b", 1.0}}));
    EXPECT_NE(text_of(path_ / "metrics.jsonl"), metrics);
  }
  std::ofstream(path_ / "metrics.jsonl", std::ios::app) << "{\"step\":4,\"half a li";
  const RunDir run(setup_);
  EXPECT_EQ(text_of(path_ / "metrics.jsonl"), metrics);
  EXPECT_EQ(text_of(path_ / "timing.jsonl"), timing);
}

TEST_F(RunDirResumeTest, WithoutACheckpointTheLogsBeginAnew) {
  {
    RunDir run(setup_);
    run.log(0, metrics_of({{"a", 1.0}}), Metrics());
  }
  const RunDir run(setup_);
  EXPECT_FALSE(run.checkpoint());
  EXPECT_EQ(text_of(path_ / "metrics.jsonl"), "");
}

TEST_F(RunDirResumeTest, ShortenedLogsAreRefused) {
  run_steps(1, 2);
  fs::resize_file(path_ / "metrics.jsonl", 5);
  EXPECT_THAT(error<DataError>(), AllOf(HasSubstr("metrics.jsonl: 5 bytes"), HasSubstr("the file was changed since")));
  fs::remove(path_ / "metrics.jsonl");
  EXPECT_THAT(error<DataError>(), HasSubstr("metrics.jsonl: 0 bytes"));
}

// --- Another config

TEST_F(RunDirResumeTest, AnotherConfigIsRefusedWithItsKeys) {
  run_steps(1, 1);
  setup_.config["seed"] = 2;
  setup_.config["train"]["microbatch_tokens"] = 32;
  EXPECT_THAT(error<ConfigError>(),
              AllOf(HasSubstr("made by another config; these differ: seed, train.microbatch_tokens;"),
                    HasSubstr("pass --allow seed --allow train.microbatch_tokens to go on")));
}

TEST_F(RunDirResumeTest, AnotherBaseModelOrPluginIsRefused) {
  run_steps(1, 1);
  setup_.manifest["sha256_base_model"] = "cc";
  setup_.manifest["sha256_plugins"]["format"] = "dd";
  setup_.manifest["noregret"] = "another version";
  EXPECT_THAT(error<ConfigError>(), HasSubstr("these differ: sha256_base_model, sha256_plugins.format;"));
}

TEST_F(RunDirResumeTest, AHashThatIsNewIsRefused) {
  run_steps(1, 1);
  setup_.manifest["sha256_data"] = "ee";
  EXPECT_THAT(error<ConfigError>(), HasSubstr("these differ: sha256_data;"));
}

TEST_F(RunDirResumeTest, AllowedKeysMayDifferAndAreTold) {
  run_steps(1, 1);
  setup_.config["seed"] = 2;
  setup_.manifest["sha256_base_model"] = "cc";
  setup_.allowed = {"seed", "sha256_base_model"};
  const RunDir run(setup_);
  EXPECT_THAT(run.warnings(), ElementsAre("seed was 1, is 2 (--allow seed)",
                                          "sha256_base_model was \"aa\", is \"cc\" (--allow sha256_base_model)"));
  EXPECT_EQ(run.checkpoint(), checkpoint(1));
}

TEST_F(RunDirResumeTest, OneAllowedKeyDoesNotAllowAnother) {
  run_steps(1, 1);
  setup_.config["seed"] = 2;
  setup_.config["train"]["microbatch_tokens"] = 32;
  setup_.allowed = {"seed", "train"};
  EXPECT_THAT(error<ConfigError>(), AllOf(HasSubstr("these differ: train.microbatch_tokens;"), Not(HasSubstr("seed"))));
}

TEST_F(RunDirResumeTest, MoreStepsAreNotAnotherConfig) {
  for (const char* key : {"eval", "log"}) setup_.config[key] = {{"every", 1}};
  run_steps(1, 1);
  setup_.config["train"]["steps"] = 20;
  setup_.config["train"]["save_every"] = 7;
  setup_.config["train"]["keep_last"] = 7;
  for (const char* key : {"eval", "log"}) setup_.config[key] = {{"every", 2}};
  EXPECT_THAT(RunDir(setup_).warnings(), IsEmpty());
  setup_.config["train"]["microbatch_tokens"] = 32;
  EXPECT_THAT(error<ConfigError>(), HasSubstr("these differ: train.microbatch_tokens;"));
}

TEST_F(RunDirResumeTest, AnotherNumberOfThreadsIsToldOnly) {
  setup_.config["threads"] = 2;
  run_steps(1, 1);
  setup_.config["threads"] = 4;
  EXPECT_THAT(RunDir(setup_).warnings(), ElementsAre("threads was 2, is 4; sums may round otherwise"));
}

TEST_F(RunDirResumeTest, AnotherDecodingBatchIsToldOnly) {
  setup_.config["rollout"]["max_batch"] = 64;
  run_steps(1, 1);
  setup_.config["rollout"]["max_batch"] = 0;
  EXPECT_THAT(RunDir(setup_).warnings(), ElementsAre(HasSubstr("rollout.max_batch was 64, is 0; speed and memory")));
}

TEST_F(RunDirResumeTest, AnotherLearningRateIsTakenAndTold) {
  run_steps(1, 1);
  setup_.config["optimizer"]["lr"] = "1e-3";
  EXPECT_THAT(RunDir(setup_).warnings(),
              ElementsAre("optimizer.lr was \"auto\", is \"1e-3\"; the new value counts from here"));
  EXPECT_THAT(text_of(path_ / "config.resolved.yaml"), HasSubstr("1e-3"));
}

TEST_F(RunDirResumeTest, AnotherBuildAndMachineAreToldOnly) {
  setup_.manifest["build"] = "11";
  setup_.manifest["cpu"] = "AVX2";
  run_steps(1, 1);
  setup_.manifest["build"] = "22";
  setup_.manifest["cpu"] = "AVX-512";
  EXPECT_THAT(RunDir(setup_).warnings(), ElementsAre(HasSubstr("build was \"11\", is \"22\""), HasSubstr("cpu was ")));
}

// --- --resume

TEST_F(RunDirResumeTest, NeverRefusesARunThatIsThere) {
  run_steps(1, 1);
  setup_.resume = RunDir::Resume::kNever;
  EXPECT_THAT(error<ConfigError>(), HasSubstr("holds a run already"));
  setup_.path = dir_.path() / "fresh";
  EXPECT_FALSE(RunDir(setup_).checkpoint());
}

TEST_F(RunDirResumeTest, RequiredRefusesAFreshFolderAndLeavesItAlone) {
  setup_.resume = RunDir::Resume::kRequired;
  EXPECT_THAT(error<ConfigError>(), HasSubstr("no checkpoint, and --resume required asks for one"));
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(RunDirResumeTest, RequiredRefusesARunWithoutCheckpoint) {
  { const RunDir run(setup_); }
  setup_.resume = RunDir::Resume::kRequired;
  EXPECT_THAT(error<ConfigError>(), HasSubstr("no checkpoint"));
}

TEST_F(RunDirResumeTest, RequiredGoesOnFromACheckpoint) {
  run_steps(1, 1);
  setup_.resume = RunDir::Resume::kRequired;
  EXPECT_EQ(RunDir(setup_).checkpoint(), checkpoint(1));
}

// --- Damage

TEST_F(RunDirResumeTest, AnyDamagedFileMakesTheOlderCheckpointCount) {
  run_steps(1, 2);
  for (const char* name : {"weights", "state.json", "MANIFEST.json"}) {
    const std::string logs = text_of(path_ / "metrics.jsonl") + text_of(path_ / "timing.jsonl");
    flip_a_bit(checkpoint(2) / name);
    RunDir run(setup_);
    EXPECT_EQ(run.checkpoint(), checkpoint(1)) << name;
    EXPECT_THAT(run.warnings(),
                ElementsAre(AllOf(HasSubstr("step_000002/"), HasSubstr("going back to an older checkpoint"))));
    log_and_save(run, 2, 2);  // the step again
    EXPECT_EQ(text_of(path_ / "metrics.jsonl") + text_of(path_ / "timing.jsonl"), logs);
  }
}

TEST_F(RunDirResumeTest, ACutOffOrMissingFileMakesTheOlderCheckpointCount) {
  run_steps(1, 3);
  fs::resize_file(checkpoint(3) / "weights", 1);
  fs::remove(checkpoint(2) / "weights");
  const RunDir run(setup_);
  EXPECT_EQ(run.checkpoint(), checkpoint(1));
  EXPECT_THAT(run.warnings(),
              ElementsAre(HasSubstr("step_000003/weights: 1 bytes"), HasSubstr("step_000002/weights: no such file")));
}

TEST_F(RunDirResumeTest, AHalfWrittenCheckpointIsNone) {
  run_steps(1, 1);
  dir_.write("run/checkpoints/.tmp-step_000002/weights", "w");
  dir_.write("run/rollouts/.tmp-123-0", "{");
  RunDir run(setup_);
  EXPECT_EQ(run.checkpoint(), checkpoint(1));
  EXPECT_THAT(run.warnings(), IsEmpty());
  EXPECT_THAT(names_in(path_ / "rollouts"), IsEmpty());
  EXPECT_THAT(names_in(path_ / "checkpoints"), ElementsAre("step_000001"));
  log_and_save(run, 2, 2);
  EXPECT_THAT(names_in(path_ / "checkpoints"), ElementsAre("step_000001", "step_000002"));
}

TEST_F(RunDirResumeTest, WhenAllAreDamagedTheRunIsRefused) {
  run_steps(1, 2);
  flip_a_bit(checkpoint(1) / "weights");
  flip_a_bit(checkpoint(2) / "weights");
  setup_.config["seed"] = 2;
  setup_.allowed = {"seed"};  // another warning, which is not the damage
  EXPECT_THAT(error<DataError>(), AllOf(HasSubstr("none of its 2 checkpoints is whole; the newest: "),
                                        HasSubstr("step_000002/weights: its SHA-256"), Not(HasSubstr("going back"))));
}

TEST_F(RunDirResumeTest, ADamagedCheckpointIsReplacedWhenItsStepComesAgain) {
  run_steps(1, 2);
  flip_a_bit(checkpoint(2) / "weights");
  run_steps(2, 2);
  EXPECT_NO_THROW(verify_dir(checkpoint(2)));
  EXPECT_THAT(names_in(path_ / "checkpoints"), ElementsAre("step_000001", "step_000002"));
  EXPECT_EQ(json_lines(path_ / "metrics.jsonl").size(), 2u);
}

TEST_F(RunDirResumeTest, ADamagedManifestIsABadFile) {
  run_steps(1, 1);
  dir_.write("run/manifest.json", "{");
  EXPECT_THAT(error<DataError>(), HasSubstr("manifest.json: not JSON"));
  dir_.write("run/manifest.json", "{}");
  EXPECT_THAT(error<DataError>(), HasSubstr("'config' is missing"));
}

}  // namespace
}  // namespace noregret
