// Flipped bits and cut files of the newest checkpoint and of LATEST.
#include "noregret/base/rng.h"
#include "run/checkpoint_store.h"
#include "tests/run/run_dir_support.h"
#include "tests/support/soak.h"

namespace noregret {
namespace {

class RunDirDamage : public testing::Test {
 protected:
  RunDirDamage() : run_(dir_.path() / "run") {
    RunDir run(run_setup(run_));
    for (int64_t step = 1; step <= 2; ++step) run.save(step, {{"weights", weights_of(step)}}, Json::object(), {});
    for (const char* name : {"weights", "state.json", "MANIFEST.json"})
      files_.push_back(run_ / "checkpoints" / "step_000002" / name);
    files_.push_back(run_ / "LATEST");
  }

  static std::string weights_of(int64_t step) { return std::string(3000, static_cast<char>('a' + step)); }

  // The damage is told, and what is taken instead is whole.
  void expect_seen(const fs::path& file, const std::string& damaged, const std::string& what) {
    const std::string whole = text_of(file);
    std::ofstream(file, std::ios::binary) << damaged;
    const FoundCheckpoint found = find_checkpoint(run_);
    EXPECT_FALSE(found.damage.empty()) << file << " " << what;
    ASSERT_TRUE(found.path) << file << " " << what;
    const int64_t step = step_of(found.path->filename());
    EXPECT_TRUE(step == 1 || file.filename() == "LATEST") << file << " " << what;
    EXPECT_EQ(text_of(*found.path / "weights"), weights_of(step)) << file << " " << what;
    std::ofstream(file, std::ios::binary) << whole;
  }

  ScratchDir dir_;
  fs::path run_;
  std::vector<fs::path> files_;
};

TEST_F(RunDirDamage, NothingIsToldOfAWholeRun) {
  const FoundCheckpoint found = find_checkpoint(run_);
  EXPECT_THAT(found.damage, testing::IsEmpty());
  EXPECT_EQ(found.path->filename(), "step_000002");
}

TEST_F(RunDirDamage, EveryFlippedBitIsSeenAndAnOlderCheckpointTaken) {
  Rng rng(21);
  const int64_t count = soak_count(500, 10000);
  for (int64_t i = 0; i < count; ++i) {
    const fs::path& file = files_[static_cast<size_t>(i) % files_.size()];
    std::string bytes = text_of(file);
    const auto bit = static_cast<size_t>(rng.uniform(0.0F, static_cast<float>(bytes.size() * 8)));
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    expect_seen(file, bytes, cat("bit ", bit));
  }
  std::cout << count << " flipped bits\n";
}

TEST_F(RunDirDamage, EveryCutFileIsSeenAndAnOlderCheckpointTaken) {
  Rng rng(22);
  const int64_t count = soak_count(200, 1000);
  for (int64_t i = 0; i < count; ++i) {
    const fs::path& file = files_[static_cast<size_t>(i) % files_.size()];
    const std::string bytes = text_of(file);
    const auto size = static_cast<size_t>(rng.uniform(0.0F, static_cast<float>(bytes.size())));
    expect_seen(file, bytes.substr(0, size), cat("cut to ", size));
  }
  std::cout << count << " cut files\n";
}

TEST_F(RunDirDamage, WithoutAnOlderCheckpointTheDoubtfulOneIsTakenAndTold) {
  fs::remove_all(run_ / "checkpoints/step_000001");
  std::string latest = text_of(run_ / "LATEST");
  latest[20] = latest[20] == '0' ? '1' : '0';
  std::ofstream(run_ / "LATEST") << latest;
  const FoundCheckpoint found = find_checkpoint(run_);
  EXPECT_EQ(found.path->filename(), "step_000002");
  EXPECT_THAT(found.damage, testing::Contains(testing::HasSubstr("one of the two is damaged")));
}

TEST_F(RunDirDamage, AnUnreadableLatestIsToldAndTheNewestWholeCheckpointTaken) {
  fs::remove(run_ / "LATEST");
  fs::create_directory(run_ / "LATEST");
  const FoundCheckpoint found = find_checkpoint(run_);
  EXPECT_EQ(found.path->filename(), "step_000002");
  EXPECT_THAT(found.damage, testing::ElementsAre(testing::HasSubstr("LATEST: is a folder")));
}

}  // namespace
}  // namespace noregret
