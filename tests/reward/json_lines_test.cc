#include <gmock/gmock.h>

#include <fstream>

#include "noregret/base/child_process.h"
#include "tests/reward/process_support.h"

namespace noregret {
namespace {

using reward_support::config_error;
using reward_support::has_child;
using reward_support::has_python;
using reward_support::item;
using reward_support::kSourceDir;
using reward_support::num_open_files;
using reward_support::Outside;
using reward_support::outside_options;
using reward_support::TempDir;
using testing::AllOf;
using testing::HasSubstr;

const RewardHost kHost(std::filesystem::path(NOREGRET_BUILD_DIR) / "rewards");
const std::string kHostile = (kSourceDir / "tests/reward/hostile_reward.py").string();

class JsonLines : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_python()) GTEST_SKIP() << "no python3";
  }

  // A reward of these lines.
  std::string script(const std::string& text) const {
    const std::filesystem::path file = dir_.path() / "mine.py";
    std::ofstream(file) << text;
    return file.string();
  }

  TempDir dir_;
};

TEST_F(JsonLines, PythonRewardOfAFewLinesJudges) {
  const Outside reward(outside_options(script(R"(from noregret_reward import serve

def score(item):
    return 1.0 if item.completion.strip() == item.reference else 0.0

serve(score, name="same", deterministic=True)
)")),
                       kHost);
  const std::vector<ScoreItem> items = {item(" 8\n", "8"), item("9", "8")};
  const std::vector<ComponentScore> scores = reward.scorer->score(items);
  EXPECT_EQ(scores[0].score, 1.0) << scores[0].error;
  EXPECT_EQ(scores[1].status, ScoreStatus::kOk);
  EXPECT_EQ(scores[1].score, 0.0);
  EXPECT_EQ(reward.scorer->name(), "same");
  EXPECT_TRUE(reward.scorer->is_deterministic());
}

TEST_F(JsonLines, ShippedExampleHasPartsAndOptions) {
  RewardOptions options = outside_options((kSourceDir / "rewards/python/brief.py").string());
  options.options = Node::from_json({{"limit", 2}}, Location{});
  const Outside reward(options, kHost);
  const ComponentScore score = reward.score("one two three");
  EXPECT_EQ(score.score, 0.5) << score.error;
  ASSERT_EQ(score.parts.size(), 1u);
  EXPECT_EQ(score.parts[0].name, "words");
  EXPECT_EQ(score.parts[0].value, 3.0);
}

TEST_F(JsonLines, UnknownOptionIsRefusedWithAHint) {
  RewardOptions options = outside_options((kSourceDir / "rewards/python/brief.py").string());
  options.options = Node::from_json({{"limt", 2}}, Location{});
  EXPECT_THAT(config_error([&] { Outside(options, kHost); }),
              AllOf(HasSubstr("brief.py: unknown option 'limt'; did you mean 'limit'?")));
}

TEST_F(JsonLines, ExceptionIsThatItemsFailure) {
  const Outside reward(outside_options(script(R"(from noregret_reward import serve
def score(item):
    if item.completion == "none": return None
    if item.completion == "nan": return float("nan")
    if item.completion == "text": return "good"
    if item.completion == "print": print("hello from Python")
    return {"good": 1.0}[item.completion]
serve(score, name="picky")
)")),
                       kHost);
  const std::vector<ScoreItem> items = {item("good"), item("bad"), item("none"), item("nan"), item("text")};
  const std::vector<ComponentScore> scores = reward.scorer->score(items);
  EXPECT_EQ(scores[0].score, 1.0);
  EXPECT_EQ(scores[1].kind, FailureKind::kFailed);
  EXPECT_EQ(scores[1].error, "KeyError: 'bad'");
  EXPECT_EQ(scores[2].kind, FailureKind::kNotFinite);
  EXPECT_EQ(scores[3].kind, FailureKind::kNotFinite);
  EXPECT_EQ(scores[4].kind, FailureKind::kFailed);
}

TEST_F(JsonLines, ScriptThatDoesNotStartSaysWhy) {
  EXPECT_THAT(config_error([&] { Outside(outside_options(script("import no_such_module\n")), kHost); }),
              AllOf(HasSubstr("mine.py: it does not start"), HasSubstr("exit code 1"),
                    HasSubstr("ModuleNotFoundError: No module named")));
  EXPECT_THAT(config_error([&] { Outside(outside_options(script("pass\n")), kHost); }), HasSubstr("exit code 0"));
  EXPECT_THAT(config_error([&] { Outside(outside_options("/nowhere/mine.py"), kHost); }), HasSubstr("no such file"));
}

TEST_F(JsonLines, MissingProgramSaysSo) {
  RewardOptions options = outside_options("");
  options.command = {"no-such-program-anywhere"};
  EXPECT_THAT(config_error([&] { Outside(options, kHost); }), HasSubstr("cannot start no-such-program-anywhere"));
}

TEST_F(JsonLines, HelperByItselfSaysHowItIsRun) {
  const std::string helper = (kSourceDir / "rewards/python").string();
  ProgramOptions options;
  options.program = "/bin/sh";
  options.args = {"-c", "PYTHONPATH='" + helper + "' exec python3 '" + helper + "/brief.py'"};
  options.environment = {"PATH=" + reward_support::kPythonPath, "PYTHONDONTWRITEBYTECODE=1"};
  options.timeout_s = 60;
  const ProgramResult result = run_program(options);
  EXPECT_NE(result.end.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("noregret reward test"));
}

// ---- what the other side may do wrong

struct Wrong {
  std::string completion;
  FailureKind kind;
  double timeout_s = 60.0;
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.completion; }

class JsonLinesFault : public testing::TestWithParam<Wrong> {};

TEST_P(JsonLinesFault, SampleIsMarkedAndTheNextIsJudged) {
  if (!has_python()) GTEST_SKIP() << "no python3";
  const Outside reward(outside_options(kHostile, GetParam().timeout_s), kHost);
  const ComponentScore score = reward.score(GetParam().completion);
  EXPECT_EQ(failure_name(score.kind), failure_name(GetParam().kind)) << score.error;
  EXPECT_EQ(score.error.find('\n'), std::string::npos);
  const ComponentScore next = reward.score("good");
  const bool is_second_reply = GetParam().completion == "twice";
  EXPECT_EQ(next.kind, is_second_reply ? FailureKind::kProtocol : FailureKind::kNone) << next.error;
}

INSTANTIATE_TEST_SUITE_P(
    Faults, JsonLinesFault,
    testing::Values(Wrong{"too few", FailureKind::kWrongCount}, Wrong{"too many", FailureKind::kWrongCount},
                    Wrong{"wrong id", FailureKind::kWrongId}, Wrong{"no id", FailureKind::kWrongId},
                    Wrong{"nan", FailureKind::kNotFinite}, Wrong{"inf", FailureKind::kNotFinite},
                    Wrong{"null", FailureKind::kNotFinite}, Wrong{"text", FailureKind::kProtocol},
                    Wrong{"true", FailureKind::kProtocol}, Wrong{"nothing", FailureKind::kProtocol},
                    Wrong{"too high", FailureKind::kOutOfRange}, Wrong{"nan part", FailureKind::kNotFinite},
                    Wrong{"bad part", FailureKind::kProtocol}, Wrong{"error", FailureKind::kFailed},
                    Wrong{"no results", FailureKind::kProtocol}, Wrong{"a list", FailureKind::kProtocol},
                    Wrong{"wrong nonce", FailureKind::kProtocol}, Wrong{"no json", FailureKind::kProtocol},
                    Wrong{"deep", FailureKind::kProtocol}, Wrong{"endless line", FailureKind::kProtocol},
                    Wrong{"twice", FailureKind::kNone}, Wrong{"exit", FailureKind::kCrashed},
                    Wrong{"close", FailureKind::kProtocol}, Wrong{"sleep", FailureKind::kTimeout, 0.5},
                    Wrong{"no line feed", FailureKind::kTimeout, 0.5}));

TEST_F(JsonLines, MetadataIsAnObject) {
  const Outside reward(outside_options(kHostile), kHost);
  ScoreItem one = item("metadata");
  one.metadata_json = R"({"level":0.25})";
  EXPECT_EQ(reward.scorer->score({&one, 1}).at(0).score, 0.25);
}

TEST_F(JsonLines, EnvironmentAndStdinAreEmpty) {
  ASSERT_EQ(setenv("NOREGRET_TEST_SECRET", "1", 1), 0);
  Outside reward(outside_options(kHostile), kHost);
  reward.score("environment");
  reward.score("stdin");
  reward.scorer.reset();
  const std::string printed = reward.log.take();
  EXPECT_THAT(printed, AllOf(HasSubstr("'PATH'"), HasSubstr("stdin: ''")));
  EXPECT_THAT(printed, testing::Not(HasSubstr("SECRET")));
}

TEST_F(JsonLines, LeavesNoChildAndNoDescriptor) {
  { const Outside warm(outside_options(kHostile), kHost); }
  const size_t num_before = num_open_files();
  {
    const Outside reward(outside_options(kHostile, 0.5), kHost);
    for (const char* what : {"exit", "sleep", "no json", "good"}) reward.score(what);
  }
  EXPECT_EQ(num_open_files(), num_before);
  EXPECT_FALSE(has_child());
}

}  // namespace
}  // namespace noregret
