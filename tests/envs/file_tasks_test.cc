#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "envs/common/task_list.h"
#include "envs/registry.h"
#include "noregret/base/file.h"

namespace noregret {
namespace {

using testing::HasSubstr;

// A file that lives as long as the object.
class TempFile {
 public:
  TempFile(const std::string& name, const std::string& content) : path_(fs::path(testing::TempDir()) / name) {
    write_file_atomic(path_, content);
  }
  ~TempFile() { fs::remove(path_); }
  std::string str() const { return path_.string(); }

 private:
  fs::path path_;
};

std::unique_ptr<TaskSource> make(const Json& options) {
  return make_task(Node::from_json(options, Location{}), {.seed = 1});
}

template <class E>
std::string error_of(const Json& options) {
  try {
    make(options);
  } catch (const E& e) {
    return e.what();
  }
  return "no error";
}

// The first row of GSM8K's training split (MIT).
constexpr const char* kNatalia =
    R"({"question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. )"
    R"(How many clips did Natalia sell altogether in April and May?", )"
    R"("answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips )"
    R"(altogether in April and May.\n#### 72"})";

TEST(Gsm8k, ReadsQuestionReferenceAndDemonstration) {
  const TempFile file("gsm8k_row.jsonl", std::string(kNatalia) + "\n");
  const auto tasks = make({{"name", "gsm8k"}, {"path", file.str()}, {"instruction", ""}});
  const Task task = tasks->get(Split::kTrain, 0);
  EXPECT_EQ(task.id, "gsm8k/train/0");
  EXPECT_THAT(task.messages[0].content, testing::EndsWith("in April and May?"));
  EXPECT_EQ(task.reference, "72");
  EXPECT_EQ(
      *task.demonstration,
      "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\n#### 72");
  EXPECT_EQ(tasks->size(Split::kEval), 0);
}

TEST(Gsm8k, InstructionFollowsOnALineOfItsOwn) {
  const TempFile file("gsm8k_instruction.jsonl", std::string(kNatalia) + "\n");
  const Task task = make({{"name", "gsm8k"}, {"path", file.str()}})->get(Split::kTrain, 0);
  EXPECT_THAT(
      task.messages[0].content,
      testing::EndsWith(
          "?\nSolve the problem step by step. End with a line '#### <number>' that holds only the final number."));
}

TEST(Gsm8k, AcceptsCommasSignsAndDecimals) {
  const TempFile file(
      "gsm8k_golds.jsonl",
      "{\"question\": \"a\", \"answer\": \"#### 1,234,567\"}\n{\"question\": \"b\", \"answer\": \"#### -5\"}\n"
      "{\"question\": \"c\", \"answer\": \"####0.25 \"}\n");
  const auto tasks = make({{"name", "gsm8k"}, {"path", file.str()}});
  EXPECT_EQ(tasks->get(Split::kTrain, 0).reference, "1,234,567");
  EXPECT_EQ(tasks->get(Split::kTrain, 1).reference, "-5");
  EXPECT_EQ(tasks->get(Split::kTrain, 2).reference, "0.25");
}

TEST(Gsm8k, UnparsableGoldsAreListed) {
  const TempFile file("gsm8k_bad.jsonl", std::string(kNatalia) +
                                             "\n{\"question\": \"a\", \"answer\": \"#### about 5\"}"
                                             "\n{\"question\": \"b\", \"answer\": \"####\"}\n");
  const std::string& path = file.str();
  EXPECT_EQ(error_of<DataError>({{"name", "gsm8k"}, {"path", path}}),
            path + ":2: the gold 'about 5' is no number; 2 of 3 golds are unreadable: " + path + ":2 'about 5', " +
                path + ":3 ''; mend them or set task.bad_golds: skip");
}

TEST(Gsm8k, UnparsableGoldsMayBeSkipped) {
  const TempFile file("gsm8k_skip.jsonl",
                      "{\"question\": \"a\", \"answer\": \"#### x\"}\n" + std::string(kNatalia) + "\n");
  const auto tasks = make({{"name", "gsm8k"}, {"path", file.str()}, {"bad_golds", "skip"}});
  EXPECT_EQ(tasks->size(Split::kTrain), 1);
  EXPECT_EQ(tasks->get(Split::kTrain, 0).reference, "72");
  ASSERT_EQ(tasks->notes().size(), 1u);
  EXPECT_THAT(tasks->notes()[0], HasSubstr("gsm8k: skipped " + file.str() + ":1: the gold 'x' is no number; 1 of 2"));
}

TEST(Gsm8k, ProblemsOfBothFilesAreReported) {
  const TempFile file("gsm8k_shared.jsonl", std::string(kNatalia) + "\n");
  const auto tasks = make({{"name", "gsm8k"}, {"path", file.str()}, {"eval_path", file.str()}});
  EXPECT_THAT(tasks->notes(),
              testing::ElementsAre("gsm8k: warning: 1 training problems are held out as well; the first "
                                   "is gsm8k/train/0"));
}

TEST(Gsm8k, AnswerWithoutMarkNamesFileAndLine) {
  const TempFile file("gsm8k_unmarked.jsonl", "{\"question\": \"a\", \"answer\": \"5\"}\n");
  EXPECT_THAT(error_of<DataError>({{"name", "gsm8k"}, {"path", file.str()}}),
              HasSubstr(":1: the answer has no '####' line"));
}

TEST(Gsm8k, MissingPathIsAConfigError) {
  EXPECT_THAT(error_of<ConfigError>({{"name", "gsm8k"}}), HasSubstr("task.path is missing"));
}

TEST(Gsm8k, MissingFileIsADataError) {
  EXPECT_THAT(error_of<DataError>({{"name", "gsm8k"}, {"path", "/nonexistent/train.jsonl"}}),
              HasSubstr("/nonexistent/train.jsonl"));
}

TEST(Gsm8k, LimitKeepsTheFirstRows) {
  const TempFile file("gsm8k_limit.jsonl",
                      "{\"question\": \"a\", \"answer\": \"#### 1\"}\n{\"question\": \"b\", \"answer\": \"#### 2\"}\n");
  EXPECT_EQ(make({{"name", "gsm8k"}, {"path", file.str()}, {"limit", 1}})->size(Split::kTrain), 1);
}

TEST(Svamp, SplitsSevenTenthsAndMendsTheStop) {
  std::string rows;
  for (int i = 0; i < 10; ++i) {
    rows += std::string(i > 0 ? "," : "") + "{\"ID\": \"chal-" + std::to_string(i) +
            "\", \"Body\": \"Tom has 8 pens\", \"Question\": \"How many pens has Tom?\", \"Equation\": \"8\", "
            "\"Answer\": " +
            std::to_string(i) + ".0, \"Type\": \"Addition\"}";
  }
  const TempFile file("svamp.json", "[" + rows + "]");
  const auto tasks = make({{"name", "svamp"}, {"path", file.str()}, {"instruction", ""}});
  EXPECT_EQ(tasks->size(Split::kTrain), 7);
  EXPECT_EQ(tasks->size(Split::kEval), 3);
  EXPECT_EQ(tasks->get(Split::kTrain, 0).messages[0].content, "Tom has 8 pens. How many pens has Tom?");
  EXPECT_EQ(tasks->get(Split::kEval, 0).reference, "7");
  EXPECT_EQ(tasks->get(Split::kEval, 0).id, "svamp/eval/0");
}

TEST(Svamp, AnswerOfAnotherTypeNamesTheRow) {
  const TempFile file("svamp_bad.json", R"([{"Body": "b", "Question": "q", "Answer": "five"}])");
  EXPECT_THAT(error_of<DataError>({{"name", "svamp"}, {"path", file.str()}}),
              HasSubstr("svamp_bad.json:1: key 'Answer'"));
}

TEST(Svamp, UnparsableGoldNamesTheRow) {
  const TempFile file("svamp_gold.json", R"([{"Body": "b", "Question": "q", "Answer": 1e300}])");
  EXPECT_THAT(error_of<DataError>({{"name", "svamp"}, {"path", file.str()}}),
              HasSubstr("svamp_gold.json:1: the gold '1e+300' is no number"));
}

TEST(ResolvePath, IsRelativeToTheConfigFile) {
  const Node node = Node::from_json({{"path", "data/a.jsonl"}}, Location{"/configs/run.yaml", 2, 1});
  EXPECT_EQ(resolve_path(FieldReader(node, "task"), "path", "data/a.jsonl"), fs::path("/configs/data/a.jsonl"));
}

TEST(ResolvePath, IsRelativeToTheWorkingDirectoryFromTheCommandLine) {
  const Node node = Node::from_json({{"path", "a.jsonl"}}, Location{"--set task.path", 0, 0});
  EXPECT_EQ(resolve_path(FieldReader(node, "task"), "path", "a.jsonl"), fs::current_path() / "a.jsonl");
}

TEST(ResolvePath, LeavesAnAbsolutePath) {
  const Node node = Node::from_json({{"path", "/d/a.jsonl"}}, Location{"/configs/run.yaml", 2, 1});
  EXPECT_EQ(resolve_path(FieldReader(node, "task"), "path", "/d/a.jsonl"), fs::path("/d/a.jsonl"));
}

TEST(PublishedData, AllOfGsm8kParses) {
  const char* data = std::getenv("NOREGRET_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "NOREGRET_TEST_DATA is not set";
  const std::string dir = std::string(data) + "/gsm8k/";
  const auto tasks = make({{"name", "gsm8k"}, {"path", dir + "train.jsonl.gz"}, {"eval_path", dir + "test.jsonl.gz"}});
  EXPECT_EQ(tasks->size(Split::kTrain), 7473);
  EXPECT_EQ(tasks->size(Split::kEval), 1319);
  for (int64_t i = 0; i < 7473; ++i)
    EXPECT_EQ(tasks->get(Split::kTrain, i).demonstration->find("<<"), std::string::npos);
}

TEST(PublishedData, AllOfSvampParses) {
  const char* data = std::getenv("NOREGRET_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "NOREGRET_TEST_DATA is not set";
  const auto tasks = make({{"name", "svamp"}, {"path", std::string(data) + "/svamp/SVAMP.json.gz"}});
  EXPECT_EQ(tasks->size(Split::kTrain), 700);
  EXPECT_EQ(tasks->size(Split::kEval), 300);
  EXPECT_EQ(tasks->get(Split::kTrain, 0).reference, "51");  // "chal-1": 51.0
}

}  // namespace
}  // namespace noregret
