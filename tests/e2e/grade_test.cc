#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

std::string pair_line(const std::string& gold, const std::string& prediction) {
  return dump_json(Json{{"gold", gold}, {"prediction", prediction}}) + "\n";
}

std::vector<std::string> verdicts(const std::vector<std::string>& flags, const std::string& lines) {
  std::vector<std::string> args = {"grade", "--input", "-"};
  args.insert(args.end(), flags.begin(), flags.end());
  std::vector<std::string> names;
  for (const Json& line : json_lines(output_of(fs::temp_directory_path(), args, lines))) {
    names.push_back(line["verdict"].get<std::string>());
  }
  return names;
}

TEST(GradeVerb, AnswersEachLineInOrder) {
  const std::string lines = pair_line("\\frac12", "0.5") + pair_line("2\\sqrt2", "\\sqrt8") + pair_line("5", "6") +
                            pair_line("", "5") + pair_line("5", "5 6") + "{\"gold\":\"5\",\"prediction\":null}\n";
  EXPECT_THAT(verdicts({}, lines),
              testing::ElementsAre("equal", "equal", "not_equal", "gold_unparsable", "pred_unparsable", "no_answer"));
}

TEST(GradeVerb, SearchesACompletionForItsAnswer) {
  const std::string lines = pair_line("5", "So it is \\boxed{5}.") + pair_line("5", "just a number 5") +
                            pair_line("So \\boxed{5}", "The answer is 5.");
  EXPECT_THAT(verdicts({"--from", "completion"}, lines), testing::ElementsAre("equal", "no_answer", "equal"));
}

TEST(GradeVerb, OptionsOfTheCommandLineAndOfALine) {
  const std::string line = pair_line("\\frac12", "\\frac24");
  EXPECT_THAT(verdicts({"--set", "require_reduced=true"}, line), testing::ElementsAre("not_equal"));
  EXPECT_THAT(verdicts({}, line), testing::ElementsAre("equal"));
  EXPECT_THAT(verdicts({}, R"({"gold":"\\frac12","prediction":"2/4","options":{"require_reduced":true}})"),
              testing::ElementsAre("not_equal"));
}

TEST(GradeVerb, GivesTheIdTheTierAndTheTime) {
  const Json line = json_lines(output_of(fs::temp_directory_path(), {"grade", "--input", "-"},
                                         R"({"id":"a7","gold":"\\sqrt8","prediction":"2\\sqrt2"})"))[0];
  EXPECT_EQ(line["id"], "a7");
  EXPECT_EQ(line["tier"], 2);
  EXPECT_GT(line["micros"].get<double>(), 0.0);
}

TEST(GradeVerb, MisspeltOptionIsRefusedWithAHint) {
  const ProcessResult result =
      run(fs::temp_directory_path(), {"grade", "--input", "-", "--set", "require_reducd=true"}, pair_line("5", "5"));
  EXPECT_EQ(result.exit_code, 78);
  EXPECT_THAT(result.err, testing::HasSubstr("did you mean 'require_reduced'?"));
}

TEST(GradeVerb, BadLineIsAnErrorAndTheOthersAreGraded) {
  const ProcessResult result = run(fs::temp_directory_path(), {"grade", "--input", "-"},
                                   "{\"gold\":5,\"prediction\":\"5\"}\n" + pair_line("5", "5"));
  EXPECT_EQ(result.exit_code, 65);
  EXPECT_TRUE(json_lines(result.out)[0].contains("error"));
  EXPECT_EQ(json_lines(result.out)[1]["verdict"], "equal");
}

}  // namespace
}  // namespace noregret::e2e
