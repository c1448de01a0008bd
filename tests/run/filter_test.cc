#include "run/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scratch.h"

namespace noregret {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Filtered {
  ExitCode code;
  std::vector<Json> lines;
};

// Every line's "n" plus one.
Json plus_one(const Json& line, const std::string& where) { return {{"n", json_int(line, "n", where) + 1}}; }

Filtered filter(const std::filesystem::path& file) {
  testing::internal::CaptureStdout();
  Filtered result;
  std::string text;
  try {
    result.code = filter_lines(file.string(), plus_one);
    text = testing::internal::GetCapturedStdout();
  } catch (...) {
    testing::internal::GetCapturedStdout();
    throw;
  }
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) result.lines.push_back(parse_json(line, "stdout"));
  return result;
}

TEST(FilterLines, PrintsOneLineForEachInOrder) {
  const ScratchDir dir;
  const Filtered result = filter(dir.write("a.jsonl", "{\"n\": 1}\n{\"n\": 5}\n{\"n\": 3}"));
  EXPECT_EQ(result.code, ExitCode::kOk);
  EXPECT_EQ(Json(result.lines).dump(), R"([{"n":2},{"n":6},{"n":4}])");
}

TEST(FilterLines, ABadLineGivesAnErrorInItsPlaceAndTheCodeOfBadData) {
  const ScratchDir dir;
  const std::filesystem::path file =
      dir.write("a.jsonl", "{\"n\": 1}\n{\"n\": \"x\"}\n{broken\n[1]\n\xff\n{\"n\": 7}\n");
  const Filtered result = filter(file);
  EXPECT_EQ(result.code, ExitCode::kData);
  ASSERT_EQ(result.lines.size(), 6u);
  EXPECT_EQ(result.lines[0]["n"], 2);
  for (size_t i = 1; i < 5; ++i) {
    const std::string want = file.string() + ":" + std::to_string(i + 1) + ": ";
    EXPECT_THAT(result.lines[i]["error"].get<std::string>(), StartsWith(want));
  }
  EXPECT_THAT(result.lines[3]["error"].get<std::string>(), HasSubstr("want a JSON object"));
  EXPECT_EQ(result.lines[5]["n"], 8);
}

TEST(FilterLines, BlankLinesArePassedOverButCounted) {
  const ScratchDir dir;
  const Filtered result = filter(dir.write("a.jsonl", "\n  \n{\"n\": 1}\r\n\t\n{}\n"));
  ASSERT_EQ(result.lines.size(), 2u);
  EXPECT_THAT(result.lines[1]["error"].get<std::string>(), HasSubstr("a.jsonl:5: "));
}

TEST(FilterLines, RefusesAFileWithoutLines) {
  const ScratchDir dir;
  for (const char* text : {"", "\n\n", "   "}) {
    EXPECT_THAT(message_of<DataError>([&] { filter(dir.write("a.jsonl", text)); }), HasSubstr("holds no lines"));
  }
}

TEST(FilterLines, RefusesAMissingFileAndAFolder) {
  const ScratchDir dir;
  EXPECT_THAT(message_of<DataError>([&] { filter(dir.path() / "no.jsonl"); }), HasSubstr("no.jsonl: no such file"));
  EXPECT_THAT(message_of<DataError>([&] { filter(dir.path()); }), HasSubstr("is a folder"));
}

TEST(FilterLines, OtherErrorsEndIt) {
  const ScratchDir dir;
  const std::string file = dir.write("a.jsonl", "{}\n{}\n").string();
  testing::internal::CaptureStdout();
  EXPECT_THROW(filter_lines(file, [](const Json&, const std::string&) -> Json { throw ConfigError("no"); }),
               ConfigError);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(IdsOf, ReadsIdsOfTheVocabularyOnly) {
  EXPECT_EQ(ids_of(Json{{"ids", {0, 9, 3}}}, "f:1", 10), (std::vector<int64_t>{0, 9, 3}));
  EXPECT_TRUE(ids_of(Json{{"ids", Json::array()}}, "f:1", 10).empty());
  for (const Json& bad : {Json(10), Json(-1), Json(1.0), Json("1"), Json(true), Json(nullptr), Json(UINT64_MAX)}) {
    EXPECT_THAT(message_of<DataError>([&] {
                  ids_of(Json{{"ids", {1, bad}}}, "f:1", 10);
                }),
                testing::AllOf(StartsWith("f:1: id "), HasSubstr("want 0 to 9")))
        << bad;
  }
  EXPECT_THAT(message_of<DataError>([] { ids_of(Json{{"ids", "1"}}, "f:1", 10); }), HasSubstr("is no list"));
  EXPECT_THAT(message_of<DataError>([] { ids_of(Json::object(), "f:1", 10); }), HasSubstr("'ids' is missing"));
}

}  // namespace
}  // namespace noregret
