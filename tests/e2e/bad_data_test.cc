// Prompts, rows and lines that do not fit: exit code 65. Filters say so in the line's place and go on.
#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

constexpr int kData = 65;

std::function<void(const fs::path&)> file(const std::string& name, const std::string& text) {
  return [=](const fs::path& folder) { std::ofstream(folder / name, std::ios::binary) << text; };
}

const std::string kTooLong(kContext + 1, 'a');

BadInputTable& data() {
  const std::string long_problem = "{\"question\": \"" + kTooLong + "\", \"answer\": \"#### 1\"}\n";
  const std::string long_row = "{\"prompt\": \"" + kTooLong + "\", \"completion\": \"1\"}\n";
  static BadInputTable table({
      at_verbs({"train", "eval", "check"}, {"PromptLongerThanTheContext",
                                            {},
                                            kData,
                                            {"gsm8k/", "256", "max_new_tokens"},
                                            file("digits.jsonl", long_problem + digit_problems())}),
      at_verbs({"train", "eval", "check"}, {"NoRoomForTheCompletion",
                                            {"--set", "rollout.max_new_tokens=255"},
                                            kData,
                                            {"gsm8k/", "256", "max_new_tokens"}}),
      at_verbs({"sft", "check_sft"}, {"ExampleLongerThanTheContext",
                                      {},
                                      kData,
                                      {"rows.jsonl:11", "256", "data.too_long: skip"},
                                      file("rows.jsonl", sft_rows() + long_row)}),
      at_verbs({"sft", "check_sft"}, {"AllExamplesLongerThanTheContext",
                                      {"--set", "data.too_long=skip"},
                                      kData,
                                      {"rows.jsonl", "256"},
                                      file("rows.jsonl", long_row)}),
      at_verbs({"sft", "check_sft"}, {"NoDataFile",
                                      {},
                                      kData,
                                      {"rows.jsonl", "no such file"},
                                      [](const fs::path& folder) { fs::remove(folder / "rows.jsonl"); }}),
      at_verbs({"sft", "check_sft"}, {"EmptyDataFile", {}, kData, {"rows.jsonl", "no rows"}, file("rows.jsonl", "")}),
      at_verbs({"sft", "check_sft"},
               {"RowWithoutCompletion",
                {},
                kData,
                {"rows.jsonl:2", "\"completion\""},
                file("rows.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\"}\n")}),
      at_verbs({"sft", "check_sft"},
               {"RowWithEmptyCompletion",
                {},
                kData,
                {"rows.jsonl:1", "completion"},
                file("rows.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n")}),
      at_verbs({"sft", "check_sft"}, {"RowNoJson",
                                      {},
                                      kData,
                                      {"rows.jsonl:11", "not JSON at column"},
                                      file("rows.jsonl", sft_rows() + "{\"prompt\": \n")}),
      at_verbs({"sft", "check_sft"},
               {"RowNotUtf8",
                {},
                kData,
                {"rows.jsonl:11", "UTF-8"},
                file("rows.jsonl", sft_rows() + "{\"prompt\": \"\xff\", \"completion\": \"1\"}\n")}),
      at_verbs({"train", "eval", "check"},
               {"EmptyTaskFile", {}, kData, {"digits.jsonl", "no rows"}, file("digits.jsonl", "\n\n")}),
      at_verbs({"train", "eval", "check"}, {"ProblemWithoutAnswer",
                                            {},
                                            kData,
                                            {"digits.jsonl:9", "'answer'"},
                                            file("digits.jsonl", digit_problems() + "{\"question\": \"1?\"}\n")}),
      at_verbs({"train", "eval", "check"},
               {"GoldNoNumber",
                {},
                kData,
                {"digits.jsonl:1", "'seven'", "is no number", "task.bad_golds: skip"},
                file("digits.jsonl", "{\"question\": \"7?\", \"answer\": \"#### seven\"}\n")}),
      at_verbs({"train", "eval", "check"}, {"TaskFileParquet",
                                            {},
                                            kData,
                                            {"digits.jsonl", "Parquet", "scripts/parquet_to_jsonl.py"},
                                            file("digits.jsonl", "PAR1\x15")}),
      {
          {"PromptLongerThanTheContext_generate",
           {"generate", "model", "--prompt", kTooLong},
           kData,
           {"--prompt", "257 tokens", "256", "max_new_tokens"}},
          {"NoRoomForTheCompletion_generate",
           {"generate", "model", "--prompt", "a", "--max-new-tokens", "256"},
           kData,
           {"--prompt", "256", "lower max_new_tokens"}},
          {"EmptyPrompt_generate", {"generate", "model", "--prompt", ""}, kData, {"--prompt", "no tokens"}},
          {"PromptNotUtf8_generate", {"generate", "model", "--prompt", "a\xff"}, kData, {"--prompt", "UTF-8"}},
          {"NoItems_reward_test",
           {"reward", "test", "gsm8k_answer", "--input", "none.jsonl"},
           kData,
           {"none.jsonl", "no such file"}},
          {"NoItems_reward_test_json",
           {"reward", "test", "gsm8k_answer", "--input", "none.jsonl", "--json"},
           kData,
           {"none.jsonl", "no such file"}},
          {"ItemsAFolder_reward_test",
           {"reward", "test", "gsm8k_answer", "--input", "model"},
           kData,
           {"model", "want"}},
          {"ItemWithoutCompletion_reward_test",
           {"reward", "test", "gsm8k_answer", "--input", "-"},
           kData,
           {"stdin:1", "'completion'"},
           {},
           "{\"prompt\": \"1\"}\n"},
          {"ItemNoJson_reward_test",
           {"reward", "test", "gsm8k_answer", "--input", "-"},
           kData,
           {"stdin:2", "not JSON"},
           {},
           "{\"completion\": \"1\", \"reference\": \"1\"}\n{\n"},
      },
      at_verbs({"score", "tokenize"}, {"NoInputFile",
                                       {},
                                       kData,
                                       {"texts.jsonl", "no such file"},
                                       [](const fs::path& folder) { fs::remove(folder / "texts.jsonl"); }}),
      at_verbs({"score", "tokenize"},
               {"EmptyInputFile", {}, kData, {"texts.jsonl", "holds no lines"}, file("texts.jsonl", "\n")}),
      {
          {"EmptyInput_tokenize", {"tokenize", "model", "--input", "-"}, kData, {"stdin", "holds no lines"}},
          {"EmptyInput_reward_test", {"reward", "test", "gsm8k_answer", "--input", "-"}, kData, {"stdin", "no"}},
          {"NoInputFile_generate",
           {"generate", "model", "--input", "none.jsonl"},
           kData,
           {"none.jsonl", "no such file"}},
      },
  });
  return table;
}

class BadData : public BadInputCase {};
TEST_P(BadData, IsOneLineWithPlaceAndFixAndLeavesNothing) { data().check(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Rows, BadData, testing::Range(size_t{0}, data().size()), case_names(data()));

// A filter, a line that it answers and lines that it cannot.
struct Filter {
  std::string name;
  std::vector<std::string> args;
  std::string good;
  struct Bad {
    std::string name;
    std::string line;
    std::vector<std::string> says;
  };
  std::vector<Bad> bad;
};

std::vector<Filter> all_filters() {
  const std::string ids = "{\"ids\": [97, 98]}";
  std::vector<Filter> filters = {
      {"tokenize",
       {"tokenize", "model", "--input", "-"},
       "{\"text\": \"ab\"}",
       {{"TextNoString", "{\"text\": 7}", {"'text'", "want a string"}}}},
      {"decode",
       {"tokenize", "model", "--input", "-", "--decode"},
       ids,
       {{"IdTooLarge", "{\"ids\": [97, 258]}", {"258", "want 0 to 257"}},
        {"IdFraction", "{\"ids\": [1.5]}", {"1.5", "want 0 to 257"}}}},
      {"score",
       {"score", "model", "--input", "-", "--threads", "1"},
       ids,
       {{"IdTooLarge", "{\"ids\": [97, 258]}", {"258", "want 0 to 257"}},
        {"IdNegative", "{\"ids\": [-1]}", {"-1", "want 0 to 257"}},
        {"IdBeyond63Bits", "{\"ids\": [18446744073709551615]}", {"18446744073709551615", "want 0 to 257"}},
        {"IdsNoList", "{\"ids\": 97}", {"'ids'", "want a list"}},
        {"TooLong", "{\"text\": \"" + kTooLong + "\"}", {"257 ids", "256", "cut the text"}}}},
      {"generate",
       {"generate", "model", "--input", "-", "--json", "--max-new-tokens", "2", "--threads", "1"},
       "{\"prompt\": \"1?\"}",
       {{"TooLong", "{\"prompt\": \"" + kTooLong + "\"}", {"257 tokens", "256", "max_new_tokens"}},
        {"EmptyPrompt", "{\"prompt\": \"\"}", {"no tokens", "want at least one"}},
        {"MessagesNoList", "{\"messages\": 1}", {"'messages'", "{role, content}"}}}},
      {"reward_test",
       {"reward", "test", "gsm8k_answer", "--input", "-", "--json"},
       "{\"completion\": \"1\", \"reference\": \"1\"}",
       {{"CompletionNoString", "{\"completion\": 1}", {"'completion'", "want a string"}}}}};
  for (Filter& filter : filters) {
    filter.bad.push_back({"NoJson", "{\"text\": ", {"not JSON at column"}});
    filter.bad.push_back({"NotUtf8", "{\"text\": \"\xc3\x28\"}", {"UTF-8"}});
    filter.bad.push_back({"NoObject", "[1, 2]", {"object"}});
    filter.bad.push_back({"NoKey", "{\"it\": 1}", {"missing"}});
  }
  return filters;
}

class BadLine : public testing::TestWithParam<Filter> {};

TEST_P(BadLine, BecomesAnErrorInItsPlaceAndTheOthersAreAnswered) {
  const Filter& filter = GetParam();
  const WorkDir folder;
  const auto before = listing(folder.path());
  std::string input = filter.good + "\n";
  for (const Filter::Bad& bad : filter.bad) input += bad.line + "\n" + filter.good + "\n";
  const ProcessResult result = run(folder.path(), filter.args, input);
  EXPECT_EQ(result.exit_code, kData) << result.err;
  EXPECT_EQ(result.err, "");
  const std::vector<Json> out = json_lines(result.out);
  ASSERT_EQ(out.size(), 2 * filter.bad.size() + 1) << result.out;
  for (size_t i = 0; i < out.size(); i += 2) EXPECT_FALSE(out[i].contains("error")) << out[i];
  for (size_t i = 0; i < filter.bad.size(); ++i) {
    SCOPED_TRACE(filter.bad[i].name);
    const Json& answer = out[2 * i + 1];
    ASSERT_TRUE(answer.contains("error")) << answer;
    EXPECT_EQ(answer.size(), 1U);
    const auto error = answer["error"].get<std::string>();
    EXPECT_THAT(error, testing::StartsWith(cat("stdin:", 2 * i + 2)));
    for (const std::string& text : filter.bad[i].says) EXPECT_THAT(error, testing::HasSubstr(text));
  }
  EXPECT_EQ(listing(folder.path()), before);
}

INSTANTIATE_TEST_SUITE_P(Of, BadLine, testing::ValuesIn(all_filters()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace noregret::e2e
