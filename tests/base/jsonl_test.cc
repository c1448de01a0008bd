#include "noregret/base/jsonl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base_support.h"
#include "gzip_support.h"

namespace noregret {
namespace {

using testing::HasSubstr;

std::string rows_error(const fs::path& path) {
  return error_of<DataError>([&] { read_jsonl(path); });
}

TEST(ReadJsonl, KeepsLineNumbersAcrossBlankLines) {
  const TempDir dir;
  const auto rows = read_jsonl(dir.put("a.jsonl", "{\"a\":1}\n\n  \t\r\n{\"a\":2}\r\n{\"a\":3}"));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].line, 4);
  EXPECT_EQ(rows[2].line, 5);
  EXPECT_EQ(rows[2].value["a"], 3);
}

TEST(ReadJsonl, UnpacksGzip) {
  const TempDir dir;
  const auto rows = read_jsonl(dir.put("a.jsonl.gz", gzip("{\"a\":1}\n{\"a\":2}\n")));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].value["a"], 2);
}

TEST(ReadJsonl, ArrayFileIsNumberedByRow) {
  const TempDir dir;
  const auto rows = read_jsonl(dir.put("a.json", "[\n\n{\"a\":1},\n{\"a\":2}]"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_EQ(read_jsonl(dir.put("b.json.gz", gzip("[{}]"))).size(), 1u);
}

TEST(ReadJsonl, FirstBadLineIsNamed) {
  const TempDir dir;
  const fs::path path = dir.put("a.jsonl", "{\"a\":1}\n\n{\"a\":}\nalso bad\n");
  EXPECT_THAT(rows_error(path), HasSubstr(path.string() + ":3: not JSON at column 6"));
}

TEST(ReadJsonl, LineThatIsNoObjectIsNamed) {
  const TempDir dir;
  const fs::path path = dir.put("a.jsonl", "{}\n[1]\n");
  EXPECT_THAT(rows_error(path), HasSubstr(path.string() + ":2: want an object"));
}

TEST(ReadJsonl, RowOfAnArrayThatIsNoObjectIsNamed) {
  const TempDir dir;
  const fs::path path = dir.put("a.json", "[{}, 5]");
  EXPECT_THAT(rows_error(path), HasSubstr(path.string() + ":2: want an object"));
}

TEST(ReadJsonl, LinesInAJsonFileAreExplained) {
  const TempDir dir;
  EXPECT_THAT(rows_error(dir.put("a.json", "{\"a\":1}")), HasSubstr("must be named .jsonl"));
}

TEST(ReadJsonl, EmptyIsAnError) {
  const TempDir dir;
  EXPECT_EQ(rows_error(dir.put("a.jsonl", "\n \n")), (dir / "a.jsonl").string() + ": holds no rows");
  EXPECT_THAT(rows_error(dir.put("a.json", "[]")), HasSubstr("holds no rows"));
  EXPECT_THAT(rows_error(dir.put("b.jsonl", "")), HasSubstr("holds no rows"));
}

TEST(ReadJsonl, ParquetNamesTheConverter) {
  const TempDir dir;
  EXPECT_THAT(rows_error(dir.put("a.parquet", "PAR1\x15\x04")),
              HasSubstr("a.parquet: a Parquet file; turn it into JSON lines: scripts/parquet_to_jsonl.py"));
}

TEST(ReadJsonl, ByteOrderMarkIsNamed) {
  const TempDir dir;
  EXPECT_THAT(rows_error(dir.put("a.jsonl", "\xef\xbb\xbf{\"a\":1}\n")),
              HasSubstr("a.jsonl:1: begins with a byte order"));
  EXPECT_THAT(rows_error(dir.put("b.json", "\xff\xfe[")), HasSubstr("byte order mark"));
}

TEST(ReadJsonl, DamagedLinesAreNamed) {
  const TempDir dir;
  EXPECT_THAT(rows_error(dir.put("a.jsonl", "{}\n{\"a\":1,\"a\":2}\n")),
              HasSubstr("a.jsonl:2: key 'a' is there twice"));
  EXPECT_THAT(rows_error(dir.put("b.jsonl", "{}\n{\"a\":\"\xff\"}\n")), HasSubstr("b.jsonl:2: not UTF-8"));
  EXPECT_THAT(rows_error(dir.put("c.json", "[{}, {\"a\":1,\"a\":2}]")), HasSubstr("c.json: key 'a' is there twice"));
}

TEST(ReadJsonl, CutGzipIsNamed) {
  const TempDir dir;
  const std::string packed = gzip("{\"a\":1}\n{\"a\":2}\n");
  EXPECT_THAT(rows_error(dir.put("a.jsonl.gz", packed.substr(0, packed.size() - 9))),
              HasSubstr("a.jsonl.gz: the gzip data are cut off"));
}

TEST(ReadJsonl, MissingFileIsAnError) {
  const TempDir dir;
  EXPECT_THAT(rows_error(dir / "none.jsonl"), HasSubstr("none.jsonl: no such file"));
}

}  // namespace
}  // namespace noregret
