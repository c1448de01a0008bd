#include "noregret/run/run_dir.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "noregret/base/error.h"
#include "noregret/config/yaml.h"
#include "noregret/format/tensorboard.h"
#include "tests/run/run_dir_support.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RunDirTest : public testing::Test {
 protected:
  RunDirTest() : path_(dir_.path() / "run"), setup_(run_setup(path_)) {}

  ScratchDir dir_;
  fs::path path_;
  RunDir::Setup setup_;
};

TEST_F(RunDirTest, AFreshOneHoldsConfigAndManifest) {
  const RunDir run(setup_);
  EXPECT_FALSE(run.checkpoint());
  EXPECT_THAT(run.warnings(), IsEmpty());
  EXPECT_EQ(load_yaml(path_ / "config.resolved.yaml").to_json(), setup_.config);
  const Json manifest = parse_json(text_of(path_ / "manifest.json"), "manifest");
  EXPECT_EQ(manifest["config"], setup_.config);
  EXPECT_EQ(manifest["sha256_base_model"], "aa");
  EXPECT_THAT(names_in(path_), ElementsAre("LOCK", "checkpoints", "config.resolved.yaml", "evals", "manifest.json",
                                           "metrics.jsonl", "rollouts", "timing.jsonl"));
}

TEST_F(RunDirTest, MakesTheFoldersAbove) {
  setup_.path = dir_.path() / "a/b/c";
  const RunDir run(setup_);
  EXPECT_TRUE(fs::exists(dir_.path() / "a/b/c/manifest.json"));
}

TEST_F(RunDirTest, AFileInTheWayIsAnIoError) {
  dir_.write("run", "");
  EXPECT_THAT(message_of<IoError>([&] { RunDir run(setup_); }), HasSubstr("run/rollouts: cannot make the folder"));
  fs::remove(path_);
  dir_.write("run/evals", "");
  EXPECT_THAT(message_of<IoError>([&] { RunDir run(setup_); }), HasSubstr("run/evals: cannot make the folder"));
}

TEST_F(RunDirTest, LogsOneLineAStep) {
  RunDir run(setup_);
  run.log(0, metrics_of({{"eval/greedy/avg", 0.25}}), Metrics());
  run.log(1, metrics_of({{"loss/value", 0.1}, {"optim/lr", 1e-5}}), metrics_of({{"time/step_s", 2.5}}));
  EXPECT_EQ(text_of(path_ / "metrics.jsonl"),
            "{\"step\":0,\"eval/greedy/avg\":0.25}\n{\"step\":1,\"loss/value\":0.1,\"optim/lr\":1e-5}\n");
  EXPECT_EQ(text_of(path_ / "timing.jsonl"), "{\"step\":0}\n{\"step\":1,\"time/step_s\":2.5}\n");
}

TEST_F(RunDirTest, NumbersThatAreNotFiniteBecomeNullAndAreCounted) {
  RunDir run(setup_);
  run.log(1, metrics_of({{"a", std::nan("")}, {"b", 1.0}, {"c", -std::numeric_limits<double>::infinity()}}), Metrics());
  EXPECT_EQ(text_of(path_ / "metrics.jsonl"), "{\"step\":1,\"a\":null,\"b\":1.0,\"c\":null,\"log/non_finite\":2.0}\n");
}

// The records of an event file, each checked as TFRecord readers do: u64 length, masked crc32c of it, payload, masked
// crc32c of the payload.
std::vector<std::string> event_payloads(const std::string& bytes) {
  const auto u32 = [&](size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, 4);
    return value;
  };
  const auto masked = [](const char* data, size_t size) {
    const uint32_t crc = crc32c(data, size);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  };
  std::vector<std::string> payloads;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = u32(at);
    if (at + 16 + length > bytes.size()) return {};
    EXPECT_EQ(u32(at + 8), masked(bytes.data() + at, 8));
    EXPECT_EQ(u32(at + 12 + length), masked(bytes.data() + at + 12, length));
    payloads.push_back(bytes.substr(at + 12, length));
    at += 16 + length;
  }
  return payloads;
}

TEST_F(RunDirTest, TensorBoardFileIsAHeaderAndARecordAStep) {
  setup_.tensorboard = true;
  RunDir run(setup_);
  run.log(1, metrics_of({{"loss/value", 0.5}}), metrics_of({{"time/step_s", 2.5}}));
  run.log(2, metrics_of({{"loss/value", std::nan("")}}), Metrics());
  const std::vector<std::string> names = names_in(path_ / "tensorboard");
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0].rfind("events.out.tfevents.", 0), 0u);
  const std::vector<std::string> payloads = event_payloads(text_of(path_ / "tensorboard" / names[0]));
  ASSERT_EQ(payloads.size(), 3u);
  EXPECT_THAT(payloads[0], HasSubstr("brain.Event:2"));  // what readers look for first
  EXPECT_THAT(payloads[1], HasSubstr("loss/value"));
  EXPECT_THAT(payloads[1], HasSubstr("time/step_s"));
}

TEST_F(RunDirTest, WritesCompletionsOfAStep) {
  RunDir run(setup_);
  TrajectoryGroup group;
  group.task.id = "t/1";
  group.trajectories.resize(2);
  group.trajectories[0].score.error = "no answer";
  run.write_rollouts(7, {group, group}, {});
  run.write_evals(7, "greedy", {group}, {});
  const std::vector<Json> lines = json_lines(path_ / "rollouts/step_000007.jsonl");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["id"], "t/1");
  EXPECT_EQ(lines[0]["samples"][0]["error"], "no answer");
  EXPECT_TRUE(lines[0]["samples"][0]["reward"].is_null());
  EXPECT_EQ(json_lines(path_ / "evals/step_000007.greedy.jsonl").size(), 1u);
}

TEST_F(RunDirTest, ACheckpointIsCompleteAndNamedByLatest) {
  RunDir run(setup_);
  log_and_save(run, 1, 1);
  const fs::path checkpoint = path_ / "checkpoints/step_000001";
  EXPECT_EQ(run.checkpoint(), checkpoint);
  EXPECT_NO_THROW(verify_dir(checkpoint));
  EXPECT_EQ(text_of(checkpoint / "weights"), "w1");
  const Json state = parse_json(text_of(checkpoint / "state.json"), "state");
  EXPECT_EQ(state["step"], 1);
  EXPECT_EQ(state["metrics_bytes"], fs::file_size(path_ / "metrics.jsonl"));
  EXPECT_EQ(state["timing_bytes"], fs::file_size(path_ / "timing.jsonl"));
  EXPECT_EQ(text_of(path_ / "LATEST"), "step_000001 " + sha256_file(checkpoint / "MANIFEST.json") + "\n");
}

TEST_F(RunDirTest, KeepsTheLastCheckpoints) {
  RunDir run(setup_);
  log_and_save(run, 1, 4, 2);
  EXPECT_THAT(names_in(path_ / "checkpoints"), ElementsAre("step_000003", "step_000004"));
  log_and_save(run, 5, 5, 1);
  EXPECT_THAT(names_in(path_ / "checkpoints"), ElementsAre("step_000005"));
}

TEST_F(RunDirTest, ForeignFoldersAmongTheCheckpointsAreLeftAlone) {
  RunDir run(setup_);
  for (const char* name : {"mine", "step_1", "step_000001x", "1000000", "step_99999999999999999999"}) {
    fs::create_directories(path_ / "checkpoints" / name);
  }
  log_and_save(run, 1, 3, 1);
  EXPECT_THAT(names_in(path_ / "checkpoints"),
              ElementsAre("1000000", "mine", "step_000001x", "step_000003", "step_1", "step_99999999999999999999"));
}

TEST_F(RunDirTest, ACheckpointOfTheSameStepReplacesTheFormer) {
  RunDir run(setup_);
  run.save(5, {{"weights", "first"}}, Json::object(), {.keep_last = 1});
  run.save(5, {{"weights", "second"}}, Json::object(), {.keep_last = 1});
  EXPECT_EQ(text_of(path_ / "checkpoints/step_000005/weights"), "second");
  EXPECT_THAT(names_in(path_ / "checkpoints"), ElementsAre("step_000005"));
}

TEST_F(RunDirTest, AReplacementThatFailsLeavesTheFormerCheckpoint) {
  {
    RunDir run(setup_);
    run.log(5, metrics_of({{"a", 1.0}}), Metrics());
    run.save(5, {{"weights", "first"}}, Json::object(), {.keep_last = 1});
    EXPECT_THROW(
        run.save(5, {{"weights", "x"}, {"weights", "a name twice is refused"}}, Json::object(), {.keep_last = 1}),
        IoError);
  }
  const RunDir again(setup_);
  ASSERT_TRUE(again.checkpoint());
  EXPECT_EQ(text_of(*again.checkpoint() / "weights"), "first");
  EXPECT_THAT(again.warnings(), IsEmpty());
}

// --- The lock

TEST_F(RunDirTest, ASecondHolderIsToldThePid) {
  const RunDir run(setup_);
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::string message = "no error";
    try {
      RunDir second(setup_);
    } catch (const LockedError& e) {
      message = e.what();
    }
    const ssize_t written = write(pipe_ends[1], message.data(), message.size());
    _exit(written == static_cast<ssize_t>(message.size()) ? 0 : 1);
  }
  close(pipe_ends[1]);
  char text[1000] = {};
  ssize_t size = 0;
  while (const ssize_t count = read(pipe_ends[0], text + size, sizeof text - 1 - static_cast<size_t>(size)))
    size += count;
  close(pipe_ends[0]);
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(text, HasSubstr("held by process " + std::to_string(getpid())));
}

TEST_F(RunDirTest, TheLockEndsWithTheHolder) {
  { const RunDir run(setup_); }
  EXPECT_NO_THROW(RunDir run(setup_));
}

TEST_F(RunDirTest, ALockOfADeadProcessHoldsNobodyUp) {
  dir_.write("run/LOCK", "1\n");
  EXPECT_NO_THROW(RunDir run(setup_));
}

}  // namespace
}  // namespace noregret
