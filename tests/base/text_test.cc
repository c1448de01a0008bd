#include "noregret/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

namespace noregret {
namespace {

TEST(Shortest, PrintsTheFewestDigitsAsPeopleWriteThem) {
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(1e-4), "0.0001");
  EXPECT_EQ(shortest(1e-5), "1e-5");
  EXPECT_EQ(shortest(1.25e-7), "1.25e-7");
  EXPECT_EQ(shortest(100000.0), "100000");
  EXPECT_EQ(shortest(1e15), "1000000000000000");
  EXPECT_EQ(shortest(1.5e16), "1.5e+16");
  EXPECT_EQ(shortest(1e300), "1e+300");
  EXPECT_EQ(shortest(5.0), "5");
  EXPECT_EQ(shortest(-2.5), "-2.5");
  EXPECT_EQ(shortest(0.0), "0");
  EXPECT_EQ(shortest(-0.0), "-0");
}

TEST(Shortest, FloatHasTheDigitsOfAFloat) {
  EXPECT_EQ(shortest(0.1f), "0.1");
  EXPECT_EQ(shortest(16777216.0f), "16777216");
  EXPECT_EQ(shortest(static_cast<double>(0.1f)), "0.10000000149011612");
}

TEST(Shortest, NamesWhatIsNoNumber) {
  EXPECT_EQ(shortest(std::nan("")), "nan");
  EXPECT_EQ(shortest(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(shortest(-std::numeric_limits<float>::infinity()), "-inf");
}

TEST(Shortest, EveryDoubleReadsBackToItself) {
  std::mt19937_64 bits(1);
  for (int i = 0; i < 200000; ++i) {
    const uint64_t pattern = bits();
    double value = 0.0;
    std::memcpy(&value, &pattern, sizeof value);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(std::strtod(shortest(value).c_str(), nullptr), value) << shortest(value);
  }
}

TEST(Shortest, EveryFloatReadsBackToItself) {
  std::mt19937 bits(2);
  for (int i = 0; i < 200000; ++i) {
    const uint32_t pattern = bits();
    float value = 0.0f;
    std::memcpy(&value, &pattern, sizeof value);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(std::strtof(shortest(value).c_str(), nullptr), value) << shortest(value);
  }
}

TEST(Shortest, ExtremesReadBackToThemselves) {
  for (const double value : {std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::min(),
                             std::numeric_limits<double>::max(), std::nextafter(1.0, 2.0)}) {
    EXPECT_EQ(std::strtod(shortest(value).c_str(), nullptr), value);
  }
}

TEST(Cat, PrintsItsArgumentsOneAfterAnother) {
  EXPECT_EQ(cat("rank ", 8, ", lr ", 1e-4, ' ', true, std::string("!")), "rank 8, lr 0.0001 1!");
  EXPECT_EQ(cat(), "");
}

TEST(Join, SeparatesParts) {
  EXPECT_EQ(join({"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(join({"a"}, ", "), "a");
  EXPECT_EQ(join({}, ", "), "");
}

TEST(Quoted, LeavesPlainTextAndValidUtf8) {
  EXPECT_EQ(quoted("it's"), "'it's'");
  EXPECT_EQ(quoted("caf\xc3\xa9"), "'caf\xc3\xa9'");
  EXPECT_EQ(quoted(""), "''");
}

TEST(Quoted, EscapesWhatWouldBreakTheLine) {
  EXPECT_EQ(quoted("a\nb\tc\rd"), "'a\\nb\\tc\\rd'");
  EXPECT_EQ(quoted(std::string_view("\0\x1b\x7f", 3)), "'\\x00\\x1b\\x7f'");
  EXPECT_EQ(quoted("\xc2\x85"), "'\\u0085'");  // NEXT LINE, a control character of two bytes
}

TEST(Quoted, EscapesInvalidUtf8ByteByByte) {
  EXPECT_EQ(quoted("a\xff\xc3"), "'a\\xff\\xc3'");
  EXPECT_EQ(quoted("\xed\xa0\x80"), "'\\xed\\xa0\\x80'");  // a surrogate
}

TEST(Quoted, CutsToEightyCharacters) {
  EXPECT_EQ(quoted(std::string(80, 'a')), "'" + std::string(80, 'a') + "'");
  EXPECT_EQ(quoted(std::string(81, 'a')), "'" + std::string(77, 'a') + "...'");
  std::string accents;
  for (int i = 0; i < 80; ++i) accents += "\xc3\xa9";
  EXPECT_EQ(quoted(accents), "'" + accents + "'");  // counts characters, not bytes
}

TEST(Quoted, NeverCutsAnEscapeInTwo) {
  const std::string text = std::string(75, 'a') + std::string(10, '\x01');
  EXPECT_EQ(quoted(text), "'" + std::string(75, 'a') + "...'");
}

TEST(Quoted, IsOursForAStringToo) {
  std::string text = "a\nb";  // std::quoted would be found through std::string and give "a<line end>b"
  const std::string& constant = text;
  EXPECT_EQ(cat(quoted(text), quoted(constant), quoted(std::string("a\nb"))), "'a\\nb''a\\nb''a\\nb'");
}

TEST(NearestName, FindsASlipOfTheFinger) {
  const std::vector<std::string> names = {"clip_eps", "kl_coef", "advantage"};
  EXPECT_EQ(nearest_name("clip_epz", names), "clip_eps");    // a replacement
  EXPECT_EQ(nearest_name("klcoef", names), "kl_coef");       // a deletion
  EXPECT_EQ(nearest_name("kl__coef", names), "kl_coef");     // an insertion
  EXPECT_EQ(nearest_name("advnatage", names), "advantage");  // two letters swapped: two edits
}

TEST(NearestName, AllowsAThirdOfTheLengthAndAtLeastTwoEdits) {
  EXPECT_EQ(nearest_name("abcdefghi", {"abcdefxyz"}), "abcdefxyz");  // 9 letters, 3 edits
  EXPECT_EQ(nearest_name("abcdefghi", {"abcdewxyz"}), "");           // 4 edits
  EXPECT_EQ(nearest_name("abc", {"axy"}), "axy");                    // 3 letters, 2 edits
  EXPECT_EQ(nearest_name("abcd", {"axyz"}), "");                     // 3 edits
}

TEST(NearestName, IsNothingWhenAllOfItWouldBeReplaced) {
  EXPECT_EQ(nearest_name("x", {"lr"}), "");
  EXPECT_EQ(nearest_name("", {"lr"}), "");
}

TEST(NearestName, TakesTheNearestAndTheFirstOfEquals) {
  EXPECT_EQ(nearest_name("step", {"stop_", "steps", "stepx"}), "steps");
  EXPECT_EQ(nearest_name("steps", {"steps"}), "steps");
  EXPECT_EQ(nearest_name("step", {}), "");
}

TEST(NearestName, PassesOverAbsurdlyLongNames) { EXPECT_EQ(nearest_name(std::string(1 << 20, 'a'), {"a"}), ""); }

TEST(DidYouMean, IsAClauseOrNothing) {
  EXPECT_EQ(did_you_mean("q_prj", {"q_proj", "k_proj"}), "; did you mean 'q_proj'?");
  EXPECT_EQ(did_you_mean("zzzzzz", {"q_proj", "k_proj"}), "");
}

TEST(Utf8, AcceptsTheFirstAndLastOfEachLength) {
  for (const char* text : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_valid_utf8(text)) << quoted(text);
  }
  EXPECT_TRUE(is_valid_utf8(std::string_view("\0", 1)));
}

TEST(Utf8, RefusesOverlongSurrogatesTooLargeAndCutOff) {
  for (const char* text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
                           "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82",
                           "\xf0\x9f\x98", "\xc3(", "\xe2\x28\xa1", "\xf0\x9f\x98("}) {
    EXPECT_FALSE(is_valid_utf8(text)) << quoted(text);
  }
}

}  // namespace
}  // namespace noregret
