// Tasks from a user's own files. All problems are made up for these tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "envs/registry.h"
#include "tests/support/scratch.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class RowTasks : public testing::Test {
 protected:
  std::unique_ptr<TaskSource> make(const std::string& name, Json options) const {
    options["name"] = name;
    if (!options.contains("instruction")) options["instruction"] = "";
    return make_task(Node::from_json(options, Location{(dir_.path() / "c.yaml").string(), 3, 1}), {.seed = 1});
  }

  // The source of these rows.
  std::unique_ptr<TaskSource> rows(const std::string& name, const std::string& text, Json options = {}) const {
    options["path"] = dir_.write("rows.jsonl", text).string();
    return make(name, options);
  }

  // Without the folder's path.
  template <class ErrorType>
  std::string error(const std::string& name, const std::string& text, const Json& options = {}) const {
    std::string what = message_of<ErrorType>([&] { rows(name, text, options); });
    const std::string folder = dir_.path().string() + "/";
    for (size_t at = what.find(folder); at != std::string::npos; at = what.find(folder)) what.erase(at, folder.size());
    return what;
  }

  // A problem in the folder's layout.
  void write_problem(const std::string& name, const std::string& solution, const std::string& level = "Level 2") const {
    const Json problem = {
        {"problem", "Problem " + name}, {"level", level}, {"type", "Number Theory"}, {"solution", solution}};
    dir_.write("data/" + name + ".json", dump_json(problem));
  }

  ScratchDir dir_;
};

// --- math

using Math = RowTasks;

TEST_F(Math, ReadsTheFolderInOrder) {
  write_problem("train/number_theory/10", "So $\\boxed{10}$.");
  write_problem("train/number_theory/9", "So $\\boxed{\\frac{9}{2}}$.");
  write_problem("train/algebra/3", "So $\\boxed 3$.", "Level ?");
  write_problem("test/algebra/1", "First \\boxed{1}, then \\boxed{2}.");
  const auto tasks = make("math", {{"path", "data"}});
  ASSERT_EQ(tasks->size(Split::kTrain), 3);
  EXPECT_EQ(tasks->get(Split::kTrain, 0).metadata["source"], "algebra/3.json");
  EXPECT_EQ(tasks->get(Split::kTrain, 0).metadata["level"], nullptr);
  EXPECT_EQ(tasks->get(Split::kTrain, 0).reference, "3");
  EXPECT_EQ(tasks->get(Split::kTrain, 1).reference, "\\frac{9}{2}");
  EXPECT_EQ(*tasks->get(Split::kTrain, 1).demonstration, "So $\\boxed{\\frac{9}{2}}$.");
  EXPECT_EQ(dump_json(tasks->get(Split::kTrain, 2).metadata),
            R"({"level":2,"subject":"number_theory","source":"number_theory/10.json"})");
  EXPECT_EQ(tasks->get(Split::kTrain, 2).id, "math/train/2");
  ASSERT_EQ(tasks->size(Split::kEval), 1);
  EXPECT_EQ(tasks->get(Split::kEval, 0).reference, "2");  // several boxes matter in training alone
}

TEST_F(Math, LeavesOutAndCountsWhatItCannotTrust) {
  write_problem("s/1", "\\boxed{1} or \\boxed{2}");
  write_problem("s/2", "\\boxed{2} and again \\boxed{ 2 }");
  write_problem("s/3", "\\boxed{}");
  write_problem("s/4", "\\boxed{4} or \\boxed{5}");
  const auto tasks = make("math", {{"path", "data"}});
  EXPECT_EQ(tasks->size(Split::kTrain), 1);
  EXPECT_EQ(tasks->get(Split::kTrain, 0).reference, "2");
  EXPECT_THAT(tasks->notes(),
              ElementsAre(StartsWith("math: 1 training problems left out: the gold is empty; the first is "),
                          AllOf(StartsWith("math: 2 training problems left out: the solution boxes different answers"),
                                EndsWith("s/1.json"))));
}

TEST_F(Math, HeldOutShareKeepsSolutionsWithSeveralBoxes) {
  const std::string row = R"({"problem": "p", "solution": "\\boxed{1}, \\boxed{2}"})";
  EXPECT_EQ(rows("math", row, {{"eval_fraction", 1.0}})->size(Split::kEval), 1);
  EXPECT_EQ(rows("math", row)->size(Split::kTrain), 0);
}

TEST_F(Math, ReadsJsonLines) {
  const Json row = {{"problem", "p"},     {"solution", "\\boxed{1}, \\boxed{2}"},
                    {"answer", "(1, 2)"}, {"subject", "Counting & Probability"},
                    {"level", 4},         {"unique_id", "test/x/1.json"}};
  const auto tasks = rows("math", dump_json(row));
  EXPECT_EQ(tasks->get(Split::kTrain, 0).reference, "(1, 2)");
  EXPECT_EQ(dump_json(tasks->get(Split::kTrain, 0).metadata),
            R"({"level":4,"subject":"counting_and_probability","source":"test/x/1.json"})");
}

TEST_F(Math, FiltersKeepWhatTheyName) {
  std::string text;
  for (const char* more : {R"("level": 1, "subject": "Algebra")", R"("level": 2, "subject": "Algebra")",
                           R"("level": 1, "subject": "Geometry")", R"("subject": "Algebra")"}) {
    text += cat(R"({"problem": "[asy]draw[/asy]", "answer": "1", )", more, "}\n");
  }
  EXPECT_EQ(rows("math", text, {{"levels", {1}}})->size(Split::kTrain), 2);
  EXPECT_EQ(rows("math", text, {{"subjects", {"algebra"}}})->size(Split::kTrain), 3);
  EXPECT_EQ(rows("math", text, {{"levels", {1}}, {"subjects", {"Algebra"}}})->size(Split::kTrain), 1);
  EXPECT_EQ(rows("math", text, {{"asy", "skip"}})->size(Split::kTrain), 0);
  EXPECT_THAT(error<ConfigError>("math", text, {{"subjects", {"algebre"}}}),
              EndsWith("task.subjects has 'algebre', which no problem is of; there are algebra, geometry; did you mean "
                       "'algebra'?"));
}

TEST_F(Math, ErrorsNameTheirRow) {
  EXPECT_EQ(error<DataError>("math", R"({"problem": "p", "solution": "no box"})"),
            "rows.jsonl:1: neither an 'answer' nor a \\boxed{} in the solution");
  EXPECT_EQ(error<DataError>("math", R"({"problem": "p"})"), "rows.jsonl:1: key 'answer' is missing");
  EXPECT_EQ(error<DataError>("math", R"({"problem": "p", "answer": "\\frac{1"})").substr(0, 12), "rows.jsonl:1");
  dir_.write("empty/readme.txt", "");
  EXPECT_THAT(message_of<DataError>([&] { make("math", {{"path", "empty"}}); }), HasSubstr("empty: holds no problems"));
  EXPECT_THAT(message_of<DataError>([&] { make("math", {{"path", "none"}}); }), HasSubstr("none: no such file"));
}

// --- jsonl

using JsonlTask = RowTasks;

TEST_F(JsonlTask, ReadsPromptAnswerAndMore) {
  const auto tasks = rows("jsonl",
                          R"({"prompt": "2+2?", "answer": 4, "info": {"a": [1]}, "demonstration": "It is 4."})"
                          "\n"
                          R"({"messages": [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "x"}], )"
                          R"("reference": "y", "metadata": {}})",
                          {{"system", "Be brief."}, {"instruction", "Go."}});
  const Task first = tasks->get(Split::kTrain, 0);
  ASSERT_EQ(first.messages.size(), 2u);
  EXPECT_EQ(first.messages[0].role, "system");
  EXPECT_EQ(first.messages[1].content, "2+2?\nGo.");
  EXPECT_EQ(first.reference, "4");
  EXPECT_EQ(dump_json(first.metadata), R"({"a":[1]})");
  EXPECT_EQ(first.demonstration, "It is 4.");
  const Task second = tasks->get(Split::kTrain, 1);
  EXPECT_EQ(second.messages.size(), 3u);
  EXPECT_EQ(second.reference, "y");
  EXPECT_FALSE(second.demonstration);
}

TEST_F(JsonlTask, KeysMayHaveOtherNames) {
  const Json keys = {{"prompt_key", "q"}, {"answer_key", "a"}, {"metadata_key", "m"}, {"demonstration_key", "d"}};
  const Task task =
      rows("jsonl", R"({"q": "2+2?", "a": 0.5, "m": {"k": 1}, "d": "w", "answer": 7})", keys)->get(Split::kTrain, 0);
  EXPECT_EQ(task.messages[0].content, "2+2?");
  EXPECT_EQ(task.reference, "0.5");
  EXPECT_EQ(task.metadata["k"], 1);
  EXPECT_EQ(task.demonstration, "w");
}

TEST_F(JsonlTask, EachBadRowIsNamed) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"answer": "4"})", "key 'prompt' or 'messages' is missing; set task.prompt_key if it has another name"},
      {R"({"prompt": "p"})", "key 'answer' or 'reference' is missing; set task.answer_key if it has another name"},
      {R"({"prompt": 5, "answer": "4"})", "key 'prompt' is an integer, want a string"},
      {R"({"prompt": "p", "answer": true})", "key 'answer' is a boolean, want a string"},
      {R"({"prompt": "p", "messages": [], "answer": "4"})", "has both 'prompt' and 'messages'; set task.prompt_key"},
      {R"({"prompt": "p", "answer": "4", "reference": "4"})", "has both 'answer' and 'reference'; set task.answer_key"},
      {R"({"prompt": " ", "answer": "4"})",
       "key 'prompt' does not end with a user's text, want what is asked of the model"},
      {R"({"messages": [], "answer": "4"})",
       "key 'messages' does not end with a user's text, want what is asked of the model"},
      {R"({"messages": [{"role": "tool", "content": "x"}], "answer": "4"})",
       "a message's role is 'tool', want system, user or assistant"},
      {R"({"messages": ["x"], "answer": "4"})", "is a string, want an object with the key 'role'"},
      {R"({"prompt": "p", "answer": "4", "info": "x"})", "key 'info' is no object"},
      {R"({"prompt": "p", "answer": "4", "demonstration": 4})", "key 'demonstration' is an integer, want a string"},
      {R"({"prompt": "p", "answer": "4", "answer": "5"})", "key 'answer' is there twice"},
      {"{\"prompt\": \"\xff\", \"answer\": \"4\"}", "not UTF-8, want JSON text"},
  };
  for (const auto& [row, want] : cases) {
    const std::string text = std::string("{\"prompt\": \"p\", \"answer\": \"4\"}\n\n") + row;
    EXPECT_EQ(error<DataError>("jsonl", text), std::string("rows.jsonl:3: ") + want) << row;
  }
}

TEST_F(JsonlTask, GoldsAreReadWhenTheFileIs) {
  std::string text;
  for (const char* answer : {"1/2", "half", "5", "\\\\frac{1", "", "x", "y", "z"}) {
    text += cat(R"({"prompt": "p", "answer": ")", answer, "\"}\n");
  }
  EXPECT_EQ(
      error<DataError>("jsonl", text, {{"answer_kind", "number"}}),
      "rows.jsonl:1: the gold '1/2' is no number; 7 of 8 golds are unreadable: rows.jsonl:1 '1/2', rows.jsonl:2 "
      "'half', rows.jsonl:4 '\\frac{1', rows.jsonl:5 '', rows.jsonl:6 'x', ...; mend them or set task.bad_golds: skip");
  EXPECT_THAT(error<DataError>("jsonl", text, {{"answer_kind", "math"}}),
              AllOf(StartsWith("rows.jsonl:4: the gold '\\frac{1' is no answer that the grader reads ("),
                    HasSubstr("2 of 8 golds")));
  EXPECT_THAT(error<DataError>("jsonl", text), HasSubstr("rows.jsonl:5: the gold '' is empty; 1 of 8"));
  EXPECT_EQ(rows("jsonl", text, {{"answer_kind", "math"}, {"bad_golds", "skip"}})->size(Split::kTrain), 6);
  EXPECT_EQ(rows("jsonl", text, {{"answer_kind", "none"}})->size(Split::kTrain), 8);
  EXPECT_EQ(rows("jsonl", R"({"prompt": "p"})", {{"answer_kind", "none"}})->get(Split::kTrain, 0).reference, "");
}

TEST_F(JsonlTask, FractionHoldsPromptsOutWhereverTheyStand) {
  std::string text, reversed;
  for (int i = 0; i < 1000; ++i) {
    const std::string row = cat(R"({"prompt": "What is )", i, R"(+1?", "answer": )", i + 1, "}\n");
    text += row;
    reversed = row + reversed;
  }
  const auto held_out = [&](const std::string& rows_text, const char* instruction) {
    const Json options = {{"eval_fraction", 0.2}, {"instruction", instruction}, {"system", instruction}};
    const auto tasks = rows("jsonl", rows_text + rows_text, options);
    std::set<std::string> references;
    for (int64_t i = 0; i < tasks->size(Split::kEval); ++i) references.insert(tasks->get(Split::kEval, i).reference);
    EXPECT_EQ(tasks->size(Split::kTrain) + tasks->size(Split::kEval), 2000);
    EXPECT_TRUE(tasks->notes().empty());
    return references;
  };
  EXPECT_EQ(held_out(text, ""), held_out(reversed, "Go."));
  EXPECT_NEAR(static_cast<double>(held_out(text, "").size()), 200, 51);  // four standard deviations
}

TEST_F(JsonlTask, OneWayToHoldProblemsOut) {
  EXPECT_THAT(error<ConfigError>("jsonl", R"({"prompt": "p", "answer": "4"})",
                                 {{"eval_fraction", 0.5}, {"eval_path", "rows.jsonl"}}),
              HasSubstr("c.yaml:3:1: task.eval_path and task.eval_fraction both hold problems out"));
}

TEST_F(JsonlTask, ParquetNamesTheConverter) {
  EXPECT_THAT(error<DataError>("jsonl", "PAR1...."), HasSubstr("rows.jsonl: a Parquet file; turn it into JSON lines"));
}

TEST_F(JsonlTask, MissingPathSaysWhatToName) {
  EXPECT_THAT(message_of<ConfigError>([&] { make("jsonl", Json::object()); }),
              EndsWith("task.path is missing; name a .jsonl file whose rows have a prompt and an answer"));
}

// --- code

using CodeTask = RowTasks;

TEST_F(CodeTask, TestsBecomeMetadata) {
  const Json tests = {{{"input", "1 2\n"}, {"output", "3"}}, {{"call", "f(1)"}, {"expected", "2"}}};
  const Json row = {{"prompt", "Add."}, {"tests", tests}, {"demonstration", "d"}};
  const Task task = rows("code", dump_json(row))->get(Split::kTrain, 0);
  EXPECT_EQ(dump_json(task.metadata), dump_json({{"tests", tests}}));
  EXPECT_EQ(task.demonstration, "d");
  EXPECT_EQ(task.messages[0].content, "Add.");
}

TEST_F(CodeTask, BadTestsAreNamed) {
  for (const char* tests : {R"("x")", "[]", R"([{"input": "1"}])", R"([{"input": 1, "output": "1"}])",
                            R"([{"input": "1", "output": "1", "more": 1}])", R"(["x"])"}) {
    EXPECT_THAT(error<DataError>("code", cat(R"({"prompt": "p", "tests": )", tests, "}")), StartsWith("rows.jsonl:1: "))
        << tests;
  }
  EXPECT_EQ(error<DataError>("code", R"({"prompt": "p"})"), "rows.jsonl:1: key 'tests' is missing");
}

}  // namespace
}  // namespace noregret
