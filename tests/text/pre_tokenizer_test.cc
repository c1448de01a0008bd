#include "text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/text/text_support.h"

namespace noregret::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> split(const Json& pre_tokenizer, const std::string& text) {
  const Words words = PreTokenizer::parse({{"pre_tokenizer", pre_tokenizer}}, "t.json").split(text);
  std::vector<std::string> parts;
  for (const Span& span : words.spans) parts.emplace_back(part_of(words.text, span));
  return parts;
}

std::string error_of(const Json& pre_tokenizer, const std::string& text = "") {
  try {
    split(pre_tokenizer, text);
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

Json split_by(const std::string& kind, const std::string& pattern, const std::string& behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", {{kind, pattern}}}, {"behavior", behavior}, {"invert", invert}};
}

// "the-final--countdown" by "-": the example of each behavior in the documentation of Hugging Face tokenizers.
TEST(Split, EachBehaviorTreatsTheSeparatorItsWay) {
  const std::string text = "the-final--countdown";
  EXPECT_THAT(split(split_by("String", "-", "Removed"), text), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(split(split_by("String", "-", "Isolated"), text),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(split(split_by("String", "-", "MergedWithPrevious"), text),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(split(split_by("String", "-", "MergedWithNext"), text), ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(split(split_by("String", "-", "Contiguous"), text), ElementsAre("the", "-", "final", "--", "countdown"));
}

TEST(Split, InvertTakesWhatDoesNotMatch) {
  EXPECT_THAT(split(split_by("Regex", R"(\w+)", "Removed", true), "How are you?"), ElementsAre("How", "are", "you"));
}

TEST(Split, StringIsNoPattern) {
  EXPECT_THAT(split(split_by("String", "a.c", "Isolated"), "abca.c"), ElementsAre("abc", "a.c"));
  EXPECT_THAT(split(split_by("String", "(|[", "Isolated"), "x(|[y"), ElementsAre("x", "(|[", "y"));
}

TEST(Split, EmptyMatchesOnlyCut) {
  EXPECT_THAT(split(split_by("Regex", "(?=b)", "Isolated"), "abab"), ElementsAre("a", "ba", "b"));
  EXPECT_THAT(split(split_by("Regex", "x*", "Isolated"), "axxb"), ElementsAre("a", "xx", "b"));
}

TEST(Split, LookAheadSeesTheWordAlone) {
  // Digits cuts first, so that "\s+(?!\S)" finds the end of its word behind both blanks.
  const Json sequence = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Digits"}, {"individual_digits", true}}, split_by("Regex", R"(\s+(?!\S)|\s+)", "Isolated")}}};
  EXPECT_THAT(split(sequence, "a  1"), ElementsAre("a", "  ", "1"));
  EXPECT_THAT(split(sequence, "a  b"), ElementsAre("a", " ", " ", "b"));
}

TEST(Split, RefusesAnEmptyPattern) {
  EXPECT_THAT(error_of(split_by("String", "", "Isolated")),
              HasSubstr("t.json: pre_tokenizer: Split has an empty pattern"));
}

TEST(Split, RefusesAPatternThatDoesNotCompile) {
  EXPECT_THAT(error_of(split_by("Regex", "(a", "Isolated")), HasSubstr("pattern '(a' does not compile: "));
}

TEST(Split, RefusesAnUnknownBehaviorByName) {
  EXPECT_THAT(error_of(split_by("String", "-", "isolated")),
              HasSubstr("Split behavior 'isolated' is not supported; known: Isolated"));
}

TEST(Split, RunawayPatternIsAnErrorNotAHang) {
  const std::string text = std::string(60, 'a') + "b";
  EXPECT_THAT(error_of(split_by("Regex", "(a|aa|a+)+$", "Isolated"), text),
              HasSubstr("gives up on a text of 61 bytes"));
}

TEST(Digits, StandAloneOrTogether) {
  const Json alone = {{"type", "Digits"}, {"individual_digits", true}};
  const Json together = {{"type", "Digits"}, {"individual_digits", false}};
  EXPECT_THAT(split(alone, "ab12c\xc2\xb2"), ElementsAre("ab", "1", "2", "c", "\xc2\xb2"));
  EXPECT_THAT(split(together, "ab12c\xc2\xb2"), ElementsAre("ab", "12", "c", "\xc2\xb2"));
}

TEST(ByteLevel, SplitsByGpt2sPatternAndWritesSigns) {
  EXPECT_THAT(split(byte_level(true), "I'll go  on"), ElementsAre("I", "'ll", "\xc4\xa0go", "\xc4\xa0", "\xc4\xa0on"));
}

TEST(ByteLevel, PrefixSpaceComesOnce) {
  const Json prefixed = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", false}};
  EXPECT_THAT(split(prefixed, "a"), ElementsAre("\xc4\xa0"
                                                "a"));
  EXPECT_THAT(split(prefixed, " a"), ElementsAre("\xc4\xa0"
                                                 "a"));
  EXPECT_THAT(split(prefixed, "\na"), ElementsAre("\xc4\xa0\xc4\x8a"
                                                  "a"));
  EXPECT_THAT(split(prefixed, ""), IsEmpty());
}

TEST(ByteLevel, SplitsByItsPatternUnlessToldOtherwise) {
  EXPECT_EQ(split({{"type", "ByteLevel"}, {"add_prefix_space", false}}, "a b").size(), 2u);
}

TEST(PreTokenizer, NoneLeavesTheTextWhole) { EXPECT_THAT(split(nullptr, "a b"), ElementsAre("a b")); }

TEST(PreTokenizer, RefusesAnUnknownTypeByName) {
  EXPECT_THAT(
      error_of({{"type", "Metaspace"}}),
      HasSubstr("t.json: pre_tokenizer type 'Metaspace' is not supported; known: Split, Digits, ByteLevel, Sequence"));
}

TEST(PreTokenizer, RefusesAnUnknownTypeInsideASequence) {
  EXPECT_THAT(error_of({{"type", "Sequence"}, {"pretokenizers", {{{"type", "BertPreTokenizer"}}}}}),
              HasSubstr("pre_tokenizer type 'BertPreTokenizer' is not supported"));
}

}  // namespace
}  // namespace noregret::text
