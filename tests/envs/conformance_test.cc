#include <map>

#include "envs/registry.h"
#include "tests/envs/env_support.h"
#include "tests/support/env_conformance.h"
#include "tests/support/scratch.h"

namespace noregret {
namespace {

// How to make a task, easy and hard: each of the options conforms, and has a digest of its own.
struct Subject {
  std::vector<Json> options;
  EnvPromises promises;
};

std::string gsm8k_rows(int first) {
  std::string rows;
  for (int i = first; i < first + 20; ++i) {
    rows += cat("{\"question\": \"", i, "+1?\", \"answer\": \"", i, "+1=", i + 1, "\\n#### ", i + 1, "\"}\n");
  }
  return rows;
}

std::string prompt_rows(const std::string& more) {
  std::string rows;
  for (int i = 0; i < 40; ++i) rows += cat("{\"prompt\": \"What is ", i, "+1?\", ", more, "}\n");
  return rows;
}

std::string svamp_rows() {
  std::string rows = "[";
  for (int i = 0; i < 20; ++i) {
    rows += cat(i > 0 ? "," : "", "{\"Body\": \"Tom has ", i, " pens.\", \"Question\": \"How many?\", \"Answer\": ", i,
                ".0}");
  }
  return rows + "]";
}

std::string math_rows(int first) {
  std::string rows;
  for (int i = first; i < first + 20; ++i) {
    rows += cat("{\"problem\": \"What is $", i, "+1$?\", \"level\": ", i % 5 + 1,
                ", \"subject\": \"Algebra\", \"solution\": \"It is $\\\\boxed{", i + 1, "}$.\"}\n");
  }
  return rows;
}

Json with_file(const ScratchDir& dir, const std::string& name, const std::string& rows, Json options) {
  options["path"] = dir.write(name, rows).string();
  return options;
}

const std::string kStory = NOREGRET_SOURCE_DIR "/envs/external/story.py";

std::string ask_then_answer(const Task& task, const std::vector<Message>& conversation) {
  return conversation.size() == 1 ? "calc 3+4" : "#### " + task.reference;
}

std::string count_pens(const Task& task, const std::vector<Message>& conversation) {
  int64_t pens = 0;
  for (size_t i = 0; i < (conversation.size() + 1) / 2 + 1; ++i) pens += task.metadata["steps"][i].get<int64_t>();
  return cat("#### ", pens);
}

std::string halve(const Task& task, const std::vector<Message>& conversation) {
  int64_t low = task.metadata["low"], high = task.metadata["high"];
  for (size_t i = 2; i < conversation.size(); i += 2) {
    const int64_t guess = (low + high) / 2;
    conversation[i].content == "The number is larger.\n" ? low = guess + 1 : high = guess - 1;
  }
  return cat("#### ", (low + high) / 2);
}

std::string first_free_square(const Task&, const std::vector<Message>& conversation) {
  const std::string& text = conversation.back().content;
  return cat("#### ", text[text.find_first_of("123456789")]);
}

std::map<std::string, Subject> subjects(const ScratchDir& dir) {
  const std::string tests = R"("demonstration": "```python\n```", "tests": [{"input": "", "output": "1"}])";
  const std::string answer = R"("answer": 5, "demonstration": "It is 5.")";
  return {
      {"arithmetic",
       {{{{"level", 1}, {"max_number", 3}},
         {{"level", 8}, {"operators", "*"}, {"max_number", 999}},
         {{"level", 8}, {"operators", "+-*"}, {"max_number", 999}, {"instruction", "End with '#### <number>'."}}},
        {}}},
      {"base_conversion", {{{{"level", 2}}, {{"level", 10}, {"bases", {2, 10, 36}}}}, {}}},
      {"calculator",
       {{{{"level", 1}}, {{"level", 4}, {"max_turns", 3}}},
        {.has_demonstrations = false, .max_turns = 6, .right_turn = ask_then_answer}}},
      {"code",
       {{with_file(dir, "code.jsonl", prompt_rows(tests), {{"eval_fraction", 0.3}}),
         with_file(dir, "code.jsonl", prompt_rows(tests), {{"limit", 5}})},
        {}}},
      {"countdown",
       {{{{"level", 1}, {"max_number", 4}, {"max_target", 4}},
         {{"level", 3}},
         {{"level", 5}, {"max_number", 100}, {"max_target", 1000}}},
        {}}},
      {"external",
       {{{{"plugin", kStory}, {"workers", 1}}, {{"plugin", kStory}, {"options", {{"turns", 4}}}}},
        {.has_demonstrations = false, .max_turns = 4, .right_turn = count_pens}}},
      {"gsm8k",
       {{with_file(dir, "gsm8k.jsonl", gsm8k_rows(0),
                   {{"eval_path", dir.write("gsm8k_eval.jsonl", gsm8k_rows(100)).string()}}),
         with_file(dir, "gsm8k.jsonl", gsm8k_rows(0), {{"instruction", ""}})},
        {}}},
      {"guess_number",
       {{{{"numbers", 2}, {"max_turns", 2}}, {{"numbers", 100}, {"max_turns", 7}, {"max_low", 1000}}},
        {.max_turns = 7, .right_turn = halve}}},
      {"jsonl",
       {{with_file(dir, "rows.jsonl", prompt_rows(answer), {{"eval_fraction", 0.3}, {"answer_kind", "number"}}),
         with_file(dir, "rows.jsonl", prompt_rows(answer), {{"system", "Be brief."}})},
        {}}},
      {"letter_counting", {{{{"level", 1}}, {{"level", 10}, {"instruction", ""}}}, {}}},
      {"math",
       {{with_file(dir, "math.jsonl", math_rows(0),
                   {{"eval_path", dir.write("math_eval.jsonl", math_rows(100)).string()}}),
         with_file(dir, "math.jsonl", math_rows(0), {{"levels", {1, 2}}})},
        {}}},
      {"number_sorting", {{{{"level", 2}, {"max_number", 50}}, {{"level", 30}, {"max_number", 99999}}}, {}}},
      {"polynomial_products", {{{{"level", 2}, {"max_coefficient", 2}}, {{"level", 5}, {"max_coefficient", 99}}}, {}}},
      {"svamp",
       {{with_file(dir, "svamp.json", svamp_rows(), Json::object()),
         with_file(dir, "svamp.json", svamp_rows(), {{"instruction", ""}})},
        {.has_demonstrations = false}}},
      {"tic_tac_toe",
       {{{{"level", 1}}, {{"level", 2}}, {{"level", 3}}},
        {.has_demonstrations = false, .max_turns = 5, .right_turn = first_free_square, .is_certain = false}}},
      {"word_problems", {{{{"level", 1}, {"max_number", 5}}, {{"level", 3}, {"sloppy", {{"guess", 0.5}}}}}, {}}},
  };
}

class EnvConformance : public testing::TestWithParam<EnvEntry> {};

TEST_P(EnvConformance, KeepsToWhatAllTasksKeepTo) {
  const ScratchDir dir;
  const std::map<std::string, Subject> all = subjects(dir);
  ASSERT_TRUE(all.count(GetParam().name)) << "add a row for this task to subjects()";
  const Subject& subject = all.at(GetParam().name);
  std::set<std::string> digests;
  for (Json options : subject.options) {
    SCOPED_TRACE(dump_json(options));
    options["name"] = GetParam().name;
    const MakeTasks make = [&](uint64_t seed) {
      return make_task(Node::from_json(options, Location{}), program_context(seed));
    };
    expect_env_conforms(make, subject.promises);
    EXPECT_TRUE(digests.insert(make(1)->digest()).second) << "the digest is that of other options";
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EnvConformance, testing::ValuesIn(env_entries().begin(), env_entries().end()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace noregret
