// Checkpoints that are written while the run goes on.
#include <cerrno>
#include <condition_variable>
#include <future>
#include <mutex>

#include "noregret/base/error.h"
#include "tests/run/io_faults.h"
#include "tests/run/run_dir_support.h"
#include "tests/run/run_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr auto kAWhile = std::chrono::milliseconds(100);
constexpr auto kForEver = std::chrono::seconds(60);

bool is_made_for(const std::string& path, const std::string& checkpoint) {
  return fs::path(path).filename() == ".tmp-" + checkpoint;
}

// A disk on which the making of one checkpoint waits for release().
class SlowDisk {
 public:
  explicit SlowDisk(const std::string& checkpoint) {
    watch_new_folders([this, checkpoint](const std::string& path) {
      if (!is_made_for(path, checkpoint)) return 0;
      std::unique_lock lock(mutex_);
      is_stuck_ = !has_changed_.wait_for(lock, kForEver, [this] { return is_released_; });
      return 0;
    });
  }
  ~SlowDisk() { watch_new_folders({}); }
  void release() {
    const std::scoped_lock lock(mutex_);
    is_released_ = true;
    has_changed_.notify_all();
  }
  bool is_stuck() const { return is_stuck_; }  // it was released too late

 private:
  std::mutex mutex_;
  std::condition_variable has_changed_;
  bool is_released_ = false;
  bool is_stuck_ = false;
};

// --- The run directory

class BackgroundSave : public testing::Test {
 protected:
  BackgroundSave() : run_(run_setup(path())) { run_.save(1, weights(1), Json::object(), {}); }
  ~BackgroundSave() override { watch_new_folders({}); }
  fs::path path() const { return dir_.path() / "run"; }
  static std::vector<NamedBytes> weights(int64_t step) { return {{"weights", cat("w", step)}}; }
  std::vector<std::string> checkpoints() const { return names_in(path() / "checkpoints"); }

  ScratchDir dir_;
  RunDir run_;
};

TEST_F(BackgroundSave, UntilItsEndTheCheckpointIsTheOneBefore) {
  SlowDisk disk("step_000002");
  run_.begin_save(2, weights(2), Json::object(), {.keep_last = 1});
  EXPECT_TRUE(run_.is_saving());
  EXPECT_EQ(run_.checkpoint()->filename(), "step_000001");
  EXPECT_THAT(checkpoints(), Contains("step_000001"));
  disk.release();
  run_.finish_save();
  EXPECT_FALSE(run_.is_saving());
  EXPECT_EQ(run_.checkpoint()->filename(), "step_000002");
  EXPECT_THAT(checkpoints(), ElementsAre("step_000002"));
}

TEST_F(BackgroundSave, LinesLoggedMeanwhileAreNotInTheCheckpointsCursors) {
  SlowDisk disk("step_000002");
  run_.log(2, metrics_of({{"loss/value", 2.0}}), Metrics());
  run_.begin_save(2, weights(2), Json::object(), {});
  run_.log(3, metrics_of({{"loss/value", 3.0}}), Metrics());
  disk.release();
  run_.finish_save();
  run_.cut_back(parse_json(text_of(path() / "checkpoints/step_000002/state.json"), "state.json"));
  EXPECT_EQ(json_lines(path() / "metrics.jsonl").back()["step"], 2);
}

TEST_F(BackgroundSave, TheNextOneWaits) {
  SlowDisk disk("step_000002");
  run_.begin_save(2, weights(2), Json::object(), {});
  std::future<void> next =
      std::async(std::launch::async, [&] { run_.begin_save(3, weights(3), Json::object(), {.keep_last = 3}); });
  EXPECT_EQ(next.wait_for(kAWhile), std::future_status::timeout);
  EXPECT_THAT(checkpoints(), ElementsAre("step_000001"));
  disk.release();
  next.get();
  run_.finish_save();
  EXPECT_FALSE(disk.is_stuck());
  EXPECT_THAT(checkpoints(), ElementsAre("step_000001", "step_000002", "step_000003"));
}

TEST_F(BackgroundSave, WhatIsForgottenIsWaitedFor) {
  SlowDisk disk("step_000002");
  run_.begin_save(2, weights(2), Json::object(), {});
  std::future<void> forgotten = std::async(std::launch::async, [&] { run_.forget_from(2); });
  EXPECT_EQ(forgotten.wait_for(kAWhile), std::future_status::timeout);
  disk.release();
  forgotten.get();
  EXPECT_THAT(checkpoints(), ElementsAre("step_000001"));
  EXPECT_THAT(text_of(path() / "LATEST"), HasSubstr("step_000001"));
}

TEST_F(BackgroundSave, AFailureIsThrownOnceByTheEnd) {
  watch_new_folders([](const std::string& path) { return is_made_for(path, "step_000002") ? EIO : 0; });
  run_.begin_save(2, weights(2), Json::object(), {.keep_last = 1});
  EXPECT_THAT(message_of<IoError>([&] { run_.finish_save(); }), HasSubstr("Input/output error"));
  EXPECT_NO_THROW(run_.finish_save());
  EXPECT_EQ(run_.checkpoint()->filename(), "step_000001");
  EXPECT_THAT(checkpoints(), ElementsAre("step_000001"));
}

TEST(EndOfARunDir, WaitsForItsCheckpoint) {
  const ScratchDir dir;
  RunDir(run_setup(dir.path())).begin_save(1, {{"weights", "w"}}, Json::object(), {});
  EXPECT_THAT(text_of(dir.path() / "LATEST"), HasSubstr("step_000001"));
  EXPECT_NO_THROW(verify_dir(dir.path() / "checkpoints/step_000001"));
}

// --- The trainer

class TrainerSave : public RunTest {
 protected:
  ~TrainerSave() override { watch_new_folders({}); }
  // Four problems a step.
  static RunConfig sft() {
    RunConfig config = sft_config(model_dir());
    config.train.save_every = 2;
    return config;
  }
};

TEST_F(TrainerSave, StepsGoOnMeanwhileAndTheCheckpointHoldsTheBytesOfItsMoment) {
  RunConfig config = sft();
  for (const bool is_full : {false, true}) {
    if (is_full) config.adapter.reset();
    train(config, run_dir("stopped"), letters(4 * 2 + 1));  // in step 3
    SlowDisk disk("step_000002");
    train(config, run_dir(), letters_with([&](int64_t call) {
            if (call == 4 * 3 + 1) disk.release();  // in step 4
          }));
    EXPECT_FALSE(disk.is_stuck()) << "a step waited for the disk";
    const fs::path checkpoint = run_dir() / "checkpoints/step_000002";
    verify_dir(checkpoint);
    ASSERT_EQ(newest_checkpoint(run_dir("stopped")).filename(), "step_000002");
    for (const char* name : {is_full ? "model.safetensors" : "adapter_model.safetensors", "optimizer.safetensors"})
      EXPECT_EQ(sha256_file(checkpoint / name), sha256_file(newest_checkpoint(run_dir("stopped")) / name)) << name;
    for (const char* name : {"run", "stopped"}) fs::remove_all(run_dir(name));
  }
}

TEST_F(TrainerSave, AFailedOneIsToldAndTriedAgainWhenItIsDue) {
  train(sft(), run_dir("whole"), letters());
  watch_new_folders([](const std::string& path) { return is_made_for(path, "step_000002") ? EIO : 0; });
  const RunResult result = train(sft(), run_dir(), letters());
  EXPECT_THAT(result.printed, AllOf(HasSubstr("warning: step 2: no checkpoint: "), HasSubstr("Input/output error"),
                                    HasSubstr("step_000000"), Not(HasSubstr("warning: step 4"))));
  EXPECT_THAT(names_in(run_dir() / "checkpoints"), ElementsAre("step_000000", "step_000004", "step_000006"));
  EXPECT_THAT(text_of(run_dir() / "timing.jsonl"), HasSubstr("\"log/failed_saves\":1.0"));
  EXPECT_EQ(results_of(run_dir()), results_of(run_dir("whole")));
}

TEST_F(TrainerSave, TheLastOneIsTriedOnceMoreAndThenAnError) {
  int num_tries = 0;
  watch_new_folders(
      [&](const std::string& path) { return is_made_for(path, "step_000006") && ++num_tries < 2 ? EIO : 0; });
  const RunResult result = train(sft(), run_dir(), letters());
  EXPECT_THAT(result.printed, HasSubstr("warning: step 6: no checkpoint: "));
  EXPECT_EQ(newest_checkpoint(run_dir()).filename(), "step_000006");
  watch_new_folders([](const std::string& path) { return is_made_for(path, "step_000006") ? EIO : 0; });
  EXPECT_THAT(message_of<IoError>([&] { train(sft(), run_dir("other"), letters()); }), HasSubstr("Input/output error"));
  EXPECT_EQ(newest_checkpoint(run_dir("other")).filename(), "step_000004");
}

TEST_F(TrainerSave, ASignalDuringASaveWaitsForItAndForItsOwn) {
  SlowDisk disk("step_000002");
  const RunResult result = train(sft(), run_dir(), letters_with([&](int64_t call) {
                                   if (call == 4 * 3 + 1) std::raise(SIGTERM);  // in step 4
                                   if (call == 4 * 3 + 2) disk.release();
                                 }));
  EXPECT_THAT(result.interruption, HasSubstr("after step 3; the newest checkpoint: "));
  EXPECT_THAT(names_in(run_dir() / "checkpoints"), ElementsAre("step_000000", "step_000002", "step_000003"));
  EXPECT_FALSE(disk.is_stuck());
}

}  // namespace
}  // namespace noregret
