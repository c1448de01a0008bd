#include "noregret/run/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scratch.h"

namespace noregret {
namespace {

using testing::HasSubstr;
using testing::Not;

TrajectoryGroup group_of(const std::string& prompt, const std::string& text, double reward) {
  TrajectoryGroup group;
  group.prompt_text = prompt;
  group.task.reference = "42";
  Trajectory sample;
  sample.text = text;
  sample.completion.ids = {1, 2, 3};
  sample.completion.finish_reason = FinishReason::kStop;
  sample.score.status = ScoreStatus::kOk;
  sample.score.reward = reward;
  sample.score.breakdown = {{ScoreStatus::kOk, 1.0, "", {}}, {ScoreStatus::kOk, 0.5, "", {}}};
  group.trajectories = {sample};
  return group;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(SampleTable, HasThreeLinesARow) {
  const std::string table = sample_table({group_of("2+40=", "42", 1.05)}, {"answer", "format"}, 3);
  EXPECT_EQ(table,
            "  prompt      2+40=\n"
            "  completion  42\n"
            "              reward 1.05, answer 1.00, format 0.50, 3 tokens, stop, want 42");
}

TEST(SampleTable, ShowsTheFirstSampleOfSomeGroups) {
  std::vector<TrajectoryGroup> groups = {group_of("a", "x", 0), group_of("b", "y", 0), group_of("c", "z", 0)};
  groups[0].trajectories.push_back(groups[1].trajectories[0]);
  const std::string table = sample_table(groups, {"answer", "format"}, 2);
  EXPECT_EQ(lines_of(table).size(), 6u);
  EXPECT_THAT(table, HasSubstr("completion  y"));
  EXPECT_THAT(table, Not(HasSubstr("completion  z")));
  EXPECT_EQ(sample_table(groups, {}, 0), "");
  EXPECT_EQ(sample_table({}, {}, 3), "");
}

TEST(SampleTable, AFailedRewardIsNoNumber) {
  TrajectoryGroup group = group_of("a", "x", 0);
  RubricResult& score = group.trajectories[0].score;
  score.status = ScoreStatus::kFailed;
  score.error = "answer: timed\nout";
  score.breakdown[0] = {ScoreStatus::kFailed, 0.0, "timed out", {}};
  const std::string table = sample_table({group}, {"answer", "format"}, 1);
  EXPECT_THAT(table, HasSubstr("reward failed (answer: timed / out), answer failed, format 0.50"));
  EXPECT_EQ(lines_of(table).size(), 3u);
}

TEST(SampleTable, LineEndsAndControlCharactersDoNotBreakIt) {
  const std::string table = sample_table({group_of("a\nb\r\tc\x1b[2J", "x\n#### 1", 0)}, {}, 1);
  EXPECT_EQ(lines_of(table).size(), 3u);
  EXPECT_THAT(table, HasSubstr("completion  x / #### 1"));
  for (const char c : table) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
}

TEST(SampleTable, LongTextsAreCutBetweenCharacters) {
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'a');
    while (text.size() < 1000) text += "\xf0\x9f\x98\x80";  // four bytes
    const std::string table = sample_table({group_of(text, text, 0)}, {}, 1);
    EXPECT_TRUE(is_valid_utf8(table)) << shift;
    for (const std::string& line : lines_of(table)) EXPECT_LE(line.size(), 14u + 240u);
    EXPECT_THAT(table, HasSubstr("..."));
  }
  TrajectoryGroup group = group_of("a", "x", 0);
  group.task.reference = std::string(100, '1');
  EXPECT_THAT(sample_table({group}, {}, 1), HasSubstr("want " + std::string(21, '1') + "..."));
}

TEST(SampleTable, AGroupWithoutSamplesIsLeftOut) {
  std::vector<TrajectoryGroup> groups = {group_of("a", "x", 0), group_of("b", "y", 0)};
  groups[0].trajectories.clear();
  EXPECT_EQ(lines_of(sample_table(groups, {}, 2)).size(), 3u);
}

std::string stderr_of(const std::function<void()>& action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

TEST(Reporter, LinesGoToStderrAndIntoTheLogOnceThereIsOne) {
  const ScratchDir dir;
  const std::string shown = stderr_of([&] {
    Reporter reporter(false);
    reporter.line("before");
    reporter.keep(dir.path() / "log.txt");
    reporter.line("one\ntwo");
    reporter.warn("three");
  });
  EXPECT_EQ(shown, "before\none\ntwo\nwarning: three\n");
  EXPECT_EQ(text_of(dir.path() / "log.txt"), "one\ntwo\nwarning: three\n");
}

TEST(Reporter, TheLogIsContinued) {
  const ScratchDir dir;
  const fs::path log = dir.write("log.txt", "earlier\n");
  stderr_of([&] {
    Reporter reporter(false);
    reporter.keep(log);
    reporter.line("later");
  });
  EXPECT_EQ(text_of(log), "earlier\nlater\n");
}

TEST(Reporter, AStatusIsForTerminalsOnly) {
  const auto report = [](bool is_terminal) {
    return stderr_of([&] {
      Reporter reporter(is_terminal);
      reporter.status("1/2");
      reporter.status("2/2");
      reporter.line("done");
    });
  };
  EXPECT_EQ(report(false), "done\n");
  EXPECT_EQ(report(true), "\r\033[K1/2\r\033[K2/2\r\033[Kdone\n");
}

TEST(Reporter, TakesItsLastStatusAway) {
  EXPECT_EQ(stderr_of([] { Reporter(true).status("x"); }), "\r\033[Kx\r\033[K");
}

}  // namespace
}  // namespace noregret
