// The data verbs in a pipe: one line out for each line in, in order, and nothing but results on stdout.
#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

// f32 sums in another order: decode with a cache against one forward of all tokens.
constexpr double kLogprobTolerance = 1e-4;

std::string text_line(const std::string& text) { return dump_json(Json{{"text", text}}) + "\n"; }

// Letters, control characters as escapes, several scripts, a control token as text, nothing at all.
const std::vector<std::string> kTexts = {
    "Tom has 5 pens.", "", "a\nb\tc \\ \"d\"", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d", "<|end|>", " two  spaces "};

std::string all_text_lines() {
  std::string lines;
  for (const std::string& text : kTexts) lines += text_line(text);
  return lines;
}

TEST(Tokenize, ThenDecodeGivesTheTextBack) {
  const WorkDir folder;
  const std::string ids = output_of(folder.path(), {"tokenize", "model", "--input", "-"}, all_text_lines());
  ASSERT_EQ(json_lines(ids).size(), kTexts.size());
  EXPECT_EQ(output_of(folder.path(), {"tokenize", "model", "--decode", "--input", "-"}, ids), all_text_lines());
}

TEST(Tokenize, OfAFileEqualsThatOfAPipe) {
  const WorkDir folder;
  const fs::path file = folder.write("lines.jsonl", all_text_lines());
  EXPECT_EQ(output_of(folder.path(), {"tokenize", "model", "--input", "lines.jsonl"}),
            output_of(folder.path(), {"tokenize", "model", "--input", "-"}, text_of(file)));
}

TEST(Tokenize, MakesAControlTokenOfTextOnlyWhenAsked) {
  const WorkDir folder;
  const std::string line = text_line("<|end|>");
  EXPECT_EQ(json_lines(output_of(folder.path(), {"tokenize", "model", "--input", "-"}, line))[0]["ids"].size(), 7U);
  EXPECT_EQ(output_of(folder.path(), {"tokenize", "model", "--special", "--input", "-"}, line),
            cat("{\"ids\":[", kEndId, "]}\n"));
}

TEST(Tokenize, SkipsBlankLinesAndTakesALastLineWithoutItsEnd) {
  const WorkDir folder;
  EXPECT_EQ(
      output_of(folder.path(), {"tokenize", "model", "--input", "-"}, "\n{\"text\":\"a\"}\r\n  \n{\"text\":\"b\"}"),
      "{\"ids\":[97]}\n{\"ids\":[98]}\n");
}

TEST(Tokenize, AnswersEachOfManyLinesInOrder) {
  const WorkDir folder;
  std::string lines;
  std::string want;
  for (int i = 0; i < 20000; ++i) {  // more than pipes hold: reading and writing must go on side by side
    lines += cat("{\"ids\":[", i % 256 / 2, "]}\n");
    want += dump_json(Json{{"text", std::string(1, static_cast<char>(i % 256 / 2))}}) + "\n";
  }
  EXPECT_EQ(output_of(folder.path(), {"tokenize", "model", "--decode", "--input", "-"}, lines), want);
}

TEST(Score, OfGeneratedIdsGivesTheirLogprobs) {
  const WorkDir folder;
  const std::string prompts = "{\"prompt\": \"2?\"}\n{\"prompt\": \"What is it? \"}\n{\"prompt\": \"0\"}\n";
  for (const std::vector<std::string>& adapter : {std::vector<std::string>{}, {"--adapter", "adapter"}}) {
    const std::vector<std::string> generate = {"generate",  "model", "--json",           "--input", "-",
                                               "--samples", "3",     "--max-new-tokens", "12"};
    const std::vector<Json> answers = json_lines(output_of(folder.path(), generate + adapter, prompts));
    ASSERT_EQ(answers.size(), 3U);
    std::string lines;
    std::vector<std::vector<double>> sampled;
    for (const Json& answer : answers) {
      ASSERT_EQ(answer["samples"].size(), 3U);
      for (const Json& sample : answer["samples"]) {
        Json ids = sample["prompt_ids"];
        for (const Json& id : sample["ids"]) ids.push_back(id);
        lines += dump_json(Json{{"ids", ids}}) + "\n";
        sampled.push_back(sample["logprobs"].get<std::vector<double>>());
        ASSERT_EQ(sampled.back().size(), sample["ids"].size());
      }
    }
    std::vector<std::vector<double>> scored = logprobs_of(
        output_of(folder.path(), std::vector<std::string>{"score", "model", "--input", "-"} + adapter, lines));
    ASSERT_EQ(scored.size(), sampled.size());
    for (size_t i = 0; i < scored.size(); ++i) {
      scored[i].erase(scored[i].begin(), scored[i].end() - static_cast<std::ptrdiff_t>(sampled[i].size()));
    }
    EXPECT_LE(max_difference(scored, sampled), kLogprobTolerance);
  }
}

TEST(Score, OfATextEqualsThatOfItsIds) {
  const WorkDir folder;
  const std::string text = output_of(folder.path(), {"score", "model", "--input", "-"}, "{\"text\": \"0? 3\"}\n");
  EXPECT_EQ(output_of(folder.path(), {"score", "model", "--input", "-"}, "{\"ids\": [48, 63, 32, 51]}\n"), text);
  EXPECT_EQ(logprobs_of(text)[0].size(), 3U);
}

TEST(Score, OfNoneOrOneIdIsAnEmptyList) {
  const WorkDir folder;
  EXPECT_EQ(output_of(folder.path(), {"score", "model", "--input", "-"}, "{\"ids\": []}\n{\"ids\": [5]}\n"),
            "{\"ids\":[],\"logprobs\":[]}\n{\"ids\":[5],\"logprobs\":[]}\n");
}

TEST(Score, WithWeightsThatOverflowIsAnErrorAndNoNumber) {
  const WorkDir folder;
  change_weights(folder.path() / "adapter/adapter_model.safetensors", [](std::vector<Weights>& all) {
    for (Weights& one : all) std::fill(one.values.begin(), one.values.end(), 1e30F);
  });
  const ProcessResult result = run(folder.path(), call("score") + std::vector<std::string>{"--adapter", "adapter"});
  EXPECT_EQ(result.exit_code, 65);
  for (const Json& line : json_lines(result.out)) {
    EXPECT_THAT(line["error"].get<std::string>(), testing::HasSubstr("not finite"));
  }
  const ProcessResult generated =
      run(folder.path(), call("generate") + std::vector<std::string>{"--adapter", "adapter"});
  EXPECT_EQ(generated.exit_code, 65);
  EXPECT_EQ(generated.out, "");
  EXPECT_THAT(generated.err, testing::HasSubstr("not finite"));
}

TEST(Generate, DependsOnTheSeedAlone) {
  const WorkDir folder;
  const std::vector<std::string> args = {"generate",  "model", "--json",           "--prompt", "What? ",
                                         "--samples", "2",     "--max-new-tokens", "16"};
  const std::string first = output_of(folder.path(), args + std::vector<std::string>{"--seed", "8"});
  EXPECT_EQ(output_of(folder.path(), args + std::vector<std::string>{"--seed", "8"}), first);
  EXPECT_NE(output_of(folder.path(), args + std::vector<std::string>{"--seed", "9"}), first);
}

TEST(Generate, GreedySamplesAreAllTheSame) {
  const WorkDir folder;
  const Json answer = json_lines(output_of(folder.path(), {"generate", "model", "--json", "--prompt", "2?", "--samples",
                                                           "2", "--temperature", "0", "--max-new-tokens", "5"}))[0];
  EXPECT_EQ(answer["samples"][0], answer["samples"][1]);
}

TEST(Generate, TalksTurnByTurn) {
  const WorkDir folder;
  const std::string out =
      output_of(folder.path(), {"generate", "model", "--chat", "--json", "--max-new-tokens", "3"}, "1?\n2?\n");
  const std::vector<Json> turns = json_lines(out);
  ASSERT_EQ(turns.size(), 2U);
  const size_t first = turns[0]["samples"][0]["prompt_ids"].size();
  EXPECT_EQ(first, 2U);
  EXPECT_GE(turns[1]["samples"][0]["prompt_ids"].size(), first + 2) << "the history is part of the prompt";
}

TEST(RewardTest, GivesOneVerdictALineAndTheSameInATable) {
  const WorkDir folder;
  const std::string items =
      "{\"completion\": \"#### 3\", \"reference\": \"3\"}\n{\"completion\": \"#### 4\", \"reference\": \"3\"}\n"
      "{\"completion\": \"#### 3\", \"reference\": \"what\"}\n";
  const std::vector<std::string> args = {"reward", "test", "gsm8k_answer", "--input", "-"};
  const std::vector<Json> verdicts =
      json_lines(output_of(folder.path(), args + std::vector<std::string>{"--json"}, items));
  ASSERT_EQ(verdicts.size(), 3U);
  EXPECT_EQ(verdicts[0]["reward"], 1.0);
  EXPECT_EQ(verdicts[1]["reward"], 0.0);
  EXPECT_EQ(verdicts[2]["reward"], Json());
  EXPECT_EQ(verdicts[2]["status"], "failed");
  EXPECT_THAT(verdicts[2]["error"].get<std::string>(), testing::HasSubstr("'what'"));
  EXPECT_EQ(verdicts[2]["kind"], "failed");
  const ProcessResult table = run(folder.path(), args, items);
  EXPECT_EQ(lines_of(table.out).size(), 8U) << table.out;  // a head, the items, their sum, three of the check
  EXPECT_THAT(table.out, testing::HasSubstr("3 items, 2 scored, mean 0.5 of 0 to 1"));
  EXPECT_THAT(table.out, testing::HasSubstr("stdin:3: the right answer 'what' gets no score"));
  EXPECT_EQ(table.exit_code, 65) << table.err;
}

TEST(RewardTest, SaysThatRightAnswersAreToldFromWrongOnes) {
  const WorkDir folder;
  const std::string items =
      "{\"completion\": \"#### 3\", \"reference\": 3}\n{\"completion\": \"x\", \"reference\": \"1,000\"}\n";
  for (const std::vector<std::string>& how : {std::vector<std::string>{}, {"--isolation", "none"}}) {
    const std::string table = output_of(
        folder.path(), std::vector<std::string>{"reward", "test", "gsm8k_answer", "--input", "-"} + how, items);
    EXPECT_THAT(table, testing::HasSubstr("right answers: 2 of 2 get full marks\nwrong answers: 0 of 2 do\n"));
  }
}

TEST(RewardTest, TakesAPythonFileAndTellsWhatItPrints) {
  if (!fs::exists("/usr/bin/python3")) GTEST_SKIP() << "no python3";
  const WorkDir folder;
  folder.write("mine.py",
               "from noregret_reward import serve\n"
               "def score(item):\n"
               "    print('judging', item.id)\n"
               "    if item.completion == 'hang':\n"
               "        while True: pass\n"
               "    return (1.0 if item.completion == item.reference else 0.0), {'chars': len(item.completion)}\n"
               "serve(score, name='mine')\n");
  const std::string items =
      "{\"id\": \"a\", \"completion\": \"8\", \"reference\": \"8\"}\n{\"id\": \"b\", \"completion\": \"hang\"}\n";
  const ProcessResult result =
      run(folder.path(), {"reward", "test", "./mine.py", "--input", "-", "--timeout", "1"}, items);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, testing::HasSubstr("mine: 2 items, 1 scored, mean 1"));
  EXPECT_THAT(result.out, testing::HasSubstr("chars 1"));
  EXPECT_THAT(result.out, testing::HasSubstr("timeout"));
  EXPECT_THAT(result.err, testing::HasSubstr("mine.py prints: judging a"));
}

TEST(Check, PrintsAConfigThatIsItsOwnResolution) {
  const WorkDir folder;
  const std::string resolved =
      output_of(folder.path(), call("check") + std::vector<std::string>{"--set", "rollout.groups=3"});
  EXPECT_THAT(resolved, testing::HasSubstr("groups: 3"));
  folder.write("resolved.yaml", resolved);
  EXPECT_EQ(output_of(folder.path(), {"check", "resolved.yaml"}), resolved);
}

TEST(Check, ReadsNoWeightsAndWritesNothing) {
  const WorkDir folder;
  fs::remove(folder.path() / "model/model.safetensors");
  const auto before = listing(folder.path());
  EXPECT_NE(output_of(folder.path(), call("check")), "");
  EXPECT_NE(output_of(folder.path(), call("check_sft")), "");
  EXPECT_EQ(listing(folder.path()), before);
}

TEST(Eval, PrintsOneObjectAndKeepsEveryCompletion) {
  const WorkDir folder;
  const Json result =
      json_lines(output_of(folder.path(), call("eval") + std::vector<std::string>{"--json", "--samples", "3", "--limit",
                                                                                  "4", "--output", "all.jsonl"}))
          .front();
  EXPECT_EQ(result["eval/greedy/problems"], 4.0);
  EXPECT_GE(result["eval/sampled/pass@3"], result["eval/sampled/avg"]);
  EXPECT_EQ(json_lines(text_of(folder.path() / "all.jsonl")).size(), 8U);
}

TEST(ClosedPipe, EndsAFilterInsteadOfHangingIt) {
  const WorkDir folder;
  std::string lines;
  for (int i = 0; i < 200000; ++i) lines += "{\"text\": \"a line that nobody waits for\"}\n";
  Process filter(noregret(folder.path(), {"tokenize", "model", "--input", "-"}, lines));
  filter.close_output();
  const ProcessResult result = filter.wait();
  EXPECT_FALSE(result.is_timed_out);
  EXPECT_TRUE(result.signal == SIGPIPE || result.exit_code == 74) << result.exit_code;
}

}  // namespace
}  // namespace noregret::e2e
