// What a run leaves for others: adapters and merged models that say the same.
#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

// W + B A in f32 against two products in f32.
constexpr double kMergeTolerance = 1e-4;

using Scores = std::vector<std::vector<double>>;

// Log-probs of texts.jsonl by each {model, adapter}, side by side; no adapter: "".
std::vector<Scores> all_scores(const WorkDir& folder,
                               const std::vector<std::pair<std::string, std::string>>& policies) {
  std::vector<Command> commands;
  for (const auto& [model, adapter] : policies) {
    std::vector<std::string> args = {"score", model, "--input", "texts.jsonl", "--threads", "1"};
    if (!adapter.empty()) args = std::move(args) + std::vector<std::string>{"--adapter", adapter};
    commands.push_back(noregret(folder.path(), args));
  }
  std::vector<Scores> scores;
  for (const ProcessResult& result : run_all(commands)) {
    EXPECT_EQ(result.exit_code, 0) << result.err;
    scores.push_back(logprobs_of(result.out));
  }
  return scores;
}

void train_sft(const WorkDir& folder, const std::string& model) {
  output_of(folder.path(), {"train", "sft.yaml", "--run-dir", "run", "--set", "model.path=" + model});
}

class Base : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Of, Base, testing::Values("model", "tied"), [](const auto& info) { return info.param; });

TEST_P(Base, ExportedAdapterScoresAsTheRun) {
  const WorkDir folder;
  train_sft(folder, GetParam());
  const ProcessResult exported = run(folder.path(), {"export", "run", "out"});
  EXPECT_EQ(exported.out, "out\n");
  EXPECT_THAT(exported.err, testing::StartsWith("read back: log-probs of 32 probe tokens differ by at most 0\n"));
  const std::string& base = GetParam();
  const std::vector<Scores> scores =
      all_scores(folder, {{base, "run"}, {base, "out"}, {base, "run/checkpoints/step_000004"}, {base, ""}});
  EXPECT_EQ(scores[1], scores[0]);
  EXPECT_EQ(scores[2], scores[0]);
  EXPECT_GT(max_difference(scores[3], scores[0]), 1e-3) << "the adapter does nothing";
  EXPECT_EQ(listing(folder.path() / "out").size(), 2U);
  const std::vector<std::string> generate = {"generate",         GetParam(), "--prompt", "2?",
                                             "--max-new-tokens", "4",        "--json"};
  EXPECT_EQ(output_of(folder.path(), generate + std::vector<std::string>{"--adapter", "out"}),
            output_of(folder.path(), generate + std::vector<std::string>{"--adapter", "run"}));
}

TEST_P(Base, MergedModelScoresAsBaseAndAdapter) {
  const WorkDir folder;
  train_sft(folder, GetParam());
  output_of(folder.path(), {"export", "run", "merged", "--merge"});
  const std::vector<Scores> scores = all_scores(folder, {{"merged", ""}, {GetParam(), "run"}, {GetParam(), ""}});
  EXPECT_LE(max_difference(scores[0], scores[1]), kMergeTolerance);
  EXPECT_GT(max_difference(scores[0], scores[2]), 1e-3);
  // The adapted head and the embedding are no longer one matrix.
  EXPECT_FALSE(read_hf_config(folder.path() / "merged").tie_word_embeddings);
  EXPECT_EQ(sha256_file(folder.path() / "merged/tokenizer.json"), sha256_file(folder.path() / "model/tokenizer.json"));
}

TEST(Export, OfAnEarlierCheckpointIsThatCheckpoint) {
  const WorkDir folder;
  train_sft(folder, "model");
  output_of(folder.path(), {"export", "run/checkpoints/step_000002", "early"});
  EXPECT_EQ(sha256_file(folder.path() / "early/adapter_model.safetensors"),
            sha256_file(folder.path() / "run/checkpoints/step_000002/adapter_model.safetensors"));
  const std::vector<Scores> scores = all_scores(folder, {{"model", "early"}, {"model", "run"}});
  EXPECT_GT(max_difference(scores[0], scores[1]), 1e-6);
}

TEST(Export, InBf16SaysWhatRoundingCosts) {
  const WorkDir folder;
  train_sft(folder, "model");
  const ProcessResult result = run(folder.path(), {"export", "run", "merged", "--merge", "--dtype", "bf16"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, testing::StartsWith("merging into bf16; rounding moved a weight by at most 0.0"));
  EXPECT_THAT(result.err,
              testing::HasSubstr(" % of the adapter's change\nread back: log-probs of 32 probe tokens differ"));
  // bf16 has 8 bits: weights move by up to 1/256 of their size.
  const std::vector<Scores> scores = all_scores(folder, {{"merged", ""}, {"model", "run"}});
  EXPECT_LE(max_difference(scores[0], scores[1]), 0.2);
}

TEST(Export, OfFullFineTuningIsAModelWithAndWithoutMerge) {
  const WorkDir folder;
  output_of(folder.path(),
            {"train", "sft.yaml", "--run-dir", "run", "--set", "adapter=none", "--set", "optimizer.lr=1e-3"});
  output_of(folder.path(), {"export", "run", "plain"});
  output_of(folder.path(), {"export", "run", "merged", "--merge", "--dtype", "f32"});
  EXPECT_EQ(listing(folder.path() / "plain"), listing(folder.path() / "merged"));
  const std::vector<Scores> scores = all_scores(folder, {{"plain", ""}, {"model", "run"}});
  EXPECT_EQ(scores[0], scores[1]);
}

TEST(Export, GoesOnWhereItsRunIsReadOnlyByName) {
  const WorkDir folder;
  train_sft(folder, "model");
  const auto before = listing(folder.path() / "run");
  output_of(folder.path(), {"export", "run/", "out/"});  // with slashes, as shells complete names
  EXPECT_TRUE(fs::exists(folder.path() / "out/adapter_config.json"));
  EXPECT_EQ(listing(folder.path() / "run"), before);
}

TEST(Eval, OfTheExportedAdapterEqualsThatOfTheRun) {
  const WorkDir folder;
  output_of(folder.path(), {"train", "rl.yaml", "--run-dir", "run"});
  output_of(folder.path(), {"export", "run", "out"});
  const std::vector<std::string> eval = {"eval", "rl.yaml", "--samples", "4", "--limit", "8", "--json"};
  EXPECT_EQ(output_of(folder.path(), eval + std::vector<std::string>{"--adapter", "out"}),
            output_of(folder.path(), eval + std::vector<std::string>{"--adapter", "run"}));
}

}  // namespace
}  // namespace noregret::e2e
