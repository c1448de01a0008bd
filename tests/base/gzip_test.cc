#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base_support.h"
#include "gzip_support.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

using testing::HasSubstr;

std::string text_error(const fs::path& path, uint64_t max_bytes = 1 << 20) {
  return error_of<DataError>([&] { read_text_file(path, max_bytes); });
}

TEST(ReadTextFile, PlainTextComesAsItIs) {
  const TempDir dir;
  EXPECT_EQ(read_text_file(dir.put("a", "plain\n")), "plain\n");
  EXPECT_EQ(read_text_file(dir.put("b", "")), "");
  EXPECT_EQ(read_text_file(dir.put("c", "\x1f")), "\x1f");  // half of the magic
}

TEST(ReadTextFile, UnpacksWhateverTheName) {
  const TempDir dir;
  EXPECT_EQ(read_text_file(dir.put("a.txt", gzip("packed"))), "packed");
  EXPECT_EQ(read_text_file(dir.put("b.gz", gzip(""))), "");
}

TEST(ReadTextFile, ReadsAFileThatGzipWrote) {
  // printf 'hello\n' | gzip -n, of gzip 1.12
  const std::string packed(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36"
      "\x06\x00\x00\x00",
      26);
  const TempDir dir;
  EXPECT_EQ(read_text_file(dir.put("a.gz", packed)), "hello\n");
}

TEST(ReadTextFile, UnpacksMembersOneAfterAnother) {
  const TempDir dir;
  EXPECT_EQ(read_text_file(dir.put("a.gz", gzip("one ") + gzip("") + gzip("two"))), "one two");
}

TEST(ReadTextFile, UnpacksMoreThanOneChunk) {
  std::mt19937 random(1);
  std::string text;
  for (int i = 0; i < 300000; ++i) text += static_cast<char>('a' + random() % 4);
  const TempDir dir;
  EXPECT_EQ(read_text_file(dir.put("a.gz", gzip(text) + gzip(text))), text + text);
}

TEST(ReadTextFile, EveryCutOffIsAnError) {
  const std::string packed = gzip("some text, some text, some more text");
  const TempDir dir;
  for (size_t size = 2; size < packed.size(); ++size) {
    EXPECT_THAT(text_error(dir.put("a.gz", packed.substr(0, size))), HasSubstr("a.gz: the gzip data are cut off"))
        << size;
  }
}

TEST(ReadTextFile, CutOffSecondMemberIsAnError) {
  const TempDir dir;
  const std::string second = gzip("two");
  EXPECT_THAT(text_error(dir.put("a.gz", gzip("one") + second.substr(0, 7))), HasSubstr("are cut off"));
}

TEST(ReadTextFile, DamageIsAnErrorThatSaysWhat) {
  const TempDir dir;
  std::string packed = gzip("some text");
  packed[packed.size() - 8] ^= 1;  // the CRC
  EXPECT_THAT(text_error(dir.put("a.gz", packed)), HasSubstr("a.gz: the gzip data are damaged: incorrect data check"));
}

TEST(ReadTextFile, FlippedBitNeverGivesAnotherText) {
  const std::string text = "some text, some text, some more text";
  const std::string packed = gzip(text);
  const TempDir dir;
  for (size_t bit = 0; bit < packed.size() * 8; ++bit) {
    std::string changed = packed;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    const fs::path path = dir.put("a.gz", changed);
    const bool is_magic = bit < 16;  // without it the bytes are the text
    if (is_magic || text_error(path) != "no error") continue;
    EXPECT_EQ(read_text_file(path), text) << bit;
  }
}

TEST(ReadTextFile, BytesAfterTheDataAreAnError) {
  const TempDir dir;
  EXPECT_THAT(text_error(dir.put("a.gz", gzip("one") + "garbage")), HasSubstr("bytes follow the gzip data"));
}

TEST(ReadTextFile, BombIsRefusedAtTheLimit) {
  const std::string bomb = gzip(std::string(16 << 20, '\0'));
  ASSERT_LT(bomb.size(), 100000u);
  const TempDir dir;
  const fs::path path = dir.put("a.gz", bomb);
  EXPECT_THAT(text_error(path), HasSubstr("a.gz: larger than 1048576 bytes when unpacked"));
}

TEST(ReadTextFile, LimitCountsAllMembersAndIsInclusive) {
  const TempDir dir;
  const fs::path path = dir.put("a.gz", gzip(std::string(600, 'a')) + gzip(std::string(400, 'b')));
  EXPECT_EQ(read_text_file(path, 1000).size(), 1000u);
  EXPECT_THAT(text_error(path, 999), HasSubstr("larger than 999 bytes"));
}

}  // namespace
}  // namespace noregret
