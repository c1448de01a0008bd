#include "envs/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace noregret {
namespace {

Node node(const std::string& json) { return Node::from_json(parse_json(json, "task"), Location{"run.yaml", 5, 3}); }

std::string error_of(const std::string& json) {
  try {
    make_task(node(json), {.seed = 1});
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Registry, MakesATaskByName) {
  EXPECT_EQ(make_task(node(R"({"name": "word_problems"})"), {.seed = 1})->size(Split::kEval), TaskSource::kEndless);
}

TEST(Registry, UnknownNameGetsTheNearest) {
  EXPECT_THAT(error_of(R"({"name": "word_problem"})"),
              testing::AllOf(testing::HasSubstr("task.name is 'word_problem', want one of arithmetic, "),
                             testing::EndsWith("word_problems; did you mean 'word_problems'?")));
}

TEST(Registry, MissingNameIsAnError) {
  EXPECT_THAT(error_of(R"({"level": 1})"), testing::HasSubstr("task.name is missing"));
}

TEST(Registry, UnknownKeyOfATaskIsAnError) {
  EXPECT_THAT(error_of(R"({"name": "word_problems", "levle": 1})"),
              testing::HasSubstr("unknown key 'task.levle'; did you mean 'level'?"));
}

TEST(Registry, ErrorsBeginWithTheirPlace) {
  EXPECT_THAT(error_of(R"({"name": "x"})"), testing::StartsWith("run.yaml:5:3: "));
}

TEST(Registry, NamesAreInOrderAndUnique) {
  for (size_t i = 1; i < env_entries().size(); ++i) {
    EXPECT_LT(std::string(env_entries()[i - 1].name), std::string(env_entries()[i].name));
  }
}

}  // namespace
}  // namespace noregret
