#include "text/unicode.h"

#include <gtest/gtest.h>

namespace noregret::text {
namespace {

constexpr const char* kBad = "\xef\xbf\xbd";  // U+FFFD

TEST(ReplaceInvalidUtf8, LeavesValidTextAlone) {
  const std::string text = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf";
  EXPECT_EQ(replace_invalid_utf8(text), text);
}

TEST(ReplaceInvalidUtf8, CutOffSequenceIsOneCharacter) {
  EXPECT_EQ(replace_invalid_utf8("a\xf0\x9f\x98"), std::string("a") + kBad);
  EXPECT_EQ(replace_invalid_utf8("\xe4\xb8"
                                 "b"),
            std::string(kBad) + "b");
}

TEST(ReplaceInvalidUtf8, EachStrayContinuationByteIsOne) {
  EXPECT_EQ(replace_invalid_utf8("\x80\xbf"), std::string(kBad) + kBad);
}

// The Unicode Standard 14.0, table 3-8: maximal subparts of ill-formed sequences.
TEST(ReplaceInvalidUtf8, TakesMaximalSubparts) {
  std::string want = "a";
  for (int i = 0; i < 3; ++i) want += kBad;
  want += "b";
  want += kBad;
  want += "c";
  for (int i = 0; i < 2; ++i) want += kBad;
  want += "d";
  EXPECT_EQ(replace_invalid_utf8("a\xf1\x80\x80\xe1\x80\xc2"
                                 "b\x80"
                                 "c\x80\xbf"
                                 "d"),
            want);
}

TEST(ReplaceInvalidUtf8, RefusesOverlongFormsSurrogatesAndTheRestByByte) {
  EXPECT_EQ(replace_invalid_utf8("\xc0\xaf"), std::string(kBad) + kBad);
  EXPECT_EQ(replace_invalid_utf8("\xed\xa0\x80"), std::string(kBad) + kBad + kBad);
  EXPECT_EQ(replace_invalid_utf8("\xf4\x90\x80\x80"), std::string(kBad) + kBad + kBad + kBad);
}

TEST(ToNfc, ComposesAndOrdersMarks) {
  EXPECT_EQ(to_nfc("e\xcc\x81"), "\xc3\xa9");                                 // e + acute
  EXPECT_EQ(to_nfc("a\xcc\x81\xcc\xa3"), "\xe1\xba\xa1\xcc\x81");             // acute, dot below: dot first
  EXPECT_EQ(to_nfc("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8"), "\xea\xb0\x81");  // Hangul jamo
}

TEST(ToNfc, KeepsWhatIsExcludedFromComposition) {
  EXPECT_EQ(to_nfc("\xe0\xa5\x98"), "\xe0\xa4\x95\xe0\xa4\xbc");  // U+0958 decomposes and stays so
}

TEST(ToNfc, MarksYoungerThanUnicode9StayWhereTheyAre) {
  // U+1DF6 (class 228, Unicode 10) before U+0323 (220): tokenizers 0.23.3 does not exchange them.
  const std::string text = "a\xe1\xb7\xb6\xcc\xa3";
  EXPECT_EQ(to_nfc(text), text);
}

TEST(ToNfc, AMegabyteOfMarksIsNotQuadratic) {
  std::string text;
  for (int i = 0; i < 250000; ++i) text += "\xcc\x81";  // class 230
  for (int i = 0; i < 250000; ++i) text += "\xcc\xa3";  // class 220: all of them move to the front
  const std::string normal = to_nfc(text);
  EXPECT_EQ(normal.size(), text.size());
  EXPECT_EQ(normal.substr(0, 2), "\xcc\xa3");
}

TEST(CodePoint, ReadsForwardsAndBackwards) {
  const std::string text = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80";
  EXPECT_EQ(code_point_at(text, 1).value, 0xe9u);
  EXPECT_EQ(code_point_at(text, 3).value, 0x4e2du);
  EXPECT_EQ(code_point_before(text, text.size()).value, 0x1f600u);
  EXPECT_EQ(code_point_before(text, 1).value, U'a');
}

TEST(CodePoint, WhiteSpaceIsTheUnicodeProperty) {
  for (const char32_t c : {0x9u, 0xdu, 0x20u, 0x85u, 0xa0u, 0x1680u, 0x2003u, 0x2028u, 0x3000u})
    EXPECT_TRUE(is_white_space(c)) << static_cast<uint32_t>(c);
  for (const char32_t c : {0x1cu, 0x200bu, 0x180eu, 0xfeffu, 0x41u})
    EXPECT_FALSE(is_white_space(c)) << static_cast<uint32_t>(c);
}

TEST(CodePoint, NumericIsWiderThanDigits) {
  for (const char32_t c : {0x30u, 0x665u, 0xb2u, 0xbdu, 0x2160u})
    EXPECT_TRUE(is_numeric(c)) << static_cast<uint32_t>(c);
  for (const char32_t c : {0x41u, 0x4e00u, 0x24b6u}) EXPECT_FALSE(is_numeric(c)) << static_cast<uint32_t>(c);
}

TEST(CodePoint, WordCharactersAreLettersMarksDigitsAndJoiners) {
  for (const char32_t c : {0x41u, 0x30u, 0x5fu, 0x300u, 0x24b6u, 0x200du, 0x2160u})
    EXPECT_TRUE(is_word(c)) << static_cast<uint32_t>(c);
  for (const char32_t c : {0x20u, 0x2du, 0xb2u, 0x1f600u}) EXPECT_FALSE(is_word(c)) << static_cast<uint32_t>(c);
}

}  // namespace
}  // namespace noregret::text
