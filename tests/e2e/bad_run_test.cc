// Run directories that cannot be opened, and exports that cannot be made.
#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

constexpr int kData = 65;
constexpr int kIo = 74;
constexpr int kConfig = 78;

// A finished run of one step of sft.yaml, copied into working folders as runs/it.
fs::path finished_run() {
  static const WorkDir folder;
  static const std::string made = output_of(folder.path(), call("sft") + std::vector<std::string>{"--steps", "1"});
  EXPECT_EQ(made, "");
  return folder.path() / "runs/it";
}

void add_run(const fs::path& folder) {
  fs::create_directories(folder / "runs");
  fs::copy(finished_run(), folder / "runs/it", fs::copy_options::recursive);
  // A run knows its model by the absolute path.
  const std::string made_in = finished_run().parent_path().parent_path().string() + "/";
  for (const char* name : {"config.resolved.yaml", "manifest.json"})
    replace_all_in(folder / "runs/it" / name, made_in, folder.string() + "/");
}

std::function<void(const fs::path&)> run_and(const std::function<void(const fs::path& run)>& damage) {
  return [=](const fs::path& folder) {
    add_run(folder);
    damage(folder / "runs/it");
  };
}

BadInputTable& runs() {
  const std::vector<std::string> sft = call("sft");
  static BadInputTable table({{
      {"ResumeRequiredWithoutARun",
       sft + std::vector<std::string>{"--resume", "required"},
       kConfig,
       {"runs/it", "--resume required", "no checkpoint"}},
      {"ResumeRequiredWithoutACheckpoint",
       sft + std::vector<std::string>{"--resume", "required"},
       kConfig,
       {"runs/it", "--resume required", "no checkpoint"},
       run_and([](const fs::path& run) {
         for (const char* name : {"checkpoints/step_000000", "checkpoints/step_000001", "LATEST"})
           fs::remove_all(run / name);
       })},
      {"ResumeNeverOnARun",
       sft + std::vector<std::string>{"--resume", "never"},
       kConfig,
       {"runs/it", "--resume never", "fresh --run-dir"},
       add_run},
      {"MadeByAnotherConfig",
       sft + std::vector<std::string>{"--set", "adapter.alpha=16"},
       kConfig,
       {"runs/it", "adapter.alpha", "name another --run-dir", "--allow adapter.alpha"},
       add_run},
      {"MadeWithAnotherSeed",
       sft + std::vector<std::string>{"--set", "seed=4"},
       kConfig,
       {"runs/it", "seed", "--allow seed"},
       add_run},
      {"MadeWithOtherData",
       sft,
       kConfig,
       {"runs/it", "sha256_data", "--allow sha256_data"},
       [](const fs::path& folder) {
         add_run(folder);
         append_to(folder / "rows.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n");
       }},
      {"MadeWithOtherWeights",
       sft,
       kConfig,
       {"runs/it", "sha256_base_model"},
       [](const fs::path& folder) {
         add_run(folder);
         change_weights(folder / "model/model.safetensors", [](auto& all) { all.back().values[0] += 1.0F; });
       }},
      {"BelowAFile", {"train", "sft.yaml", "--run-dir", "rows.jsonl/runs"}, kIo, {"rows.jsonl/runs", "cannot"}},
      {"AFile", {"train", "sft.yaml", "--run-dir", "rows.jsonl"}, kIo, {"rows.jsonl", "cannot"}},
      {"AllCheckpointsDamaged", sft, kData, {"runs/it", "step_000001"}, run_and([](const fs::path& run) {
         for (const char* name : {"step_000000", "step_000001"})
           cut_in_half(run / "checkpoints" / name / "optimizer.safetensors");
       })},
      {"ManifestNoJson", sft, kData, {"runs/it/manifest.json", "not JSON"}, run_and([](const fs::path& run) {
         replace_in(run / "manifest.json", "{", "");
       })},
      {"MetricsCutOff", sft, kData, {"runs/it/metrics.jsonl", "changed since"}, run_and([](const fs::path& run) {
         fs::resize_file(run / "metrics.jsonl", 0);
       })},
      {"ExportOfNothing", {"export", "runs/it", "out"}, kData, {"runs/it", "no such folder", "want a run"}},
      {"ExportOfAFile", {"export", "rows.jsonl", "out"}, kData, {"rows.jsonl", "no such folder", "want a run"}},
      {"ExportOfAnEmptyFolder",
       {"export", "runs", "out"},
       kData,
       {"runs", "adapter_model.safetensors"},
       [](const fs::path& folder) { fs::create_directory(folder / "runs"); }},
      {"ExportOfAModel", {"export", "model", "out"}, kData, {"model", "no run"}},
      {"ExportOfAnAdapter", {"export", "adapter", "out"}, kData, {"adapter", "no run"}},
      {"ExportOfADamagedCheckpoint",
       {"export", "runs/it/checkpoints/step_000001", "out"},
       kData,
       {"adapter_model.safetensors", "MANIFEST.json"},
       run_and([](const fs::path& run) { cut_in_half(run / "checkpoints/step_000001/adapter_model.safetensors"); })},
      {"ExportWithoutItsBase",
       {"export", "runs/it", "out"},
       kData,
       {"model", "no such folder"},
       [](const fs::path& folder) {
         add_run(folder);
         fs::remove_all(folder / "model");
       }},
      {"ExportToAnExistingFolder",
       {"export", "runs/it", "model"},
       kIo,
       {"model", "exists already", "name another folder"},
       add_run},
      {"MergeToAnExistingFolder", {"export", "runs/it", "model", "--merge"}, kIo, {"model", "exists already"}, add_run},
      {"ExportBelowAFile", {"export", "runs/it", "rows.jsonl/out"}, kIo, {"rows.jsonl", "cannot"}, add_run},
      {"EvalOutputBelowAFile", {"eval", "rl.yaml", "--output", "rows.jsonl/out.jsonl"}, kIo, {"rows.jsonl/"}},
  }});
  return table;
}

class BadRun : public BadInputCase {};
TEST_P(BadRun, IsOneLineWithPlaceAndFixAndLeavesNothing) { runs().check(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Folder, BadRun, testing::Range(size_t{0}, runs().size()), case_names(runs()));

TEST(LockedRun, NamesTheProcessThatHoldsItAndHowToGoOn) {
  const WorkDir folder;
  add_run(folder.path());
  const FileLock lock(folder.path() / "runs/it/LOCK");
  const auto before = listing(folder.path());
  const ProcessResult result = run(folder.path(), call("sft"));
  EXPECT_EQ(result.exit_code, kIo);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, testing::HasSubstr(cat("noregret: runs/it/LOCK: held by process ", getpid(), "; ")));
  EXPECT_THAT(result.err, testing::HasSubstr("stop it"));
  EXPECT_EQ(listing(folder.path()), before);
}

TEST(FullDisk, IsAnErrorOfEveryVerbThatPrintsResults) {
  const WorkDir folder;
  std::vector<Command> commands;
  for (const char* verb : {"check", "generate", "score", "tokenize", "reward_test", "eval"}) {
    commands.push_back(noregret(folder.path(), call(verb)));
    commands.back().output_path = "/dev/full";  // every write: no space left
  }
  for (const ProcessResult& result : run_all(commands)) {
    EXPECT_EQ(result.exit_code, kIo) << result.err;
    EXPECT_THAT(result.err, testing::HasSubstr("noregret: stdout"));
  }
}

}  // namespace
}  // namespace noregret::e2e
