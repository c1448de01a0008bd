// Where numbers are not plain from the rule, tokenizers 0.23.3 gave the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/text/text_support.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using AddedTokens = ModelFolder;

constexpr int64_t kToken = 256;

TEST_F(AddedTokens, ControlTokenInTextStaysTextUnlessAllowed) {
  Json document = byte_document();
  add_token(document, "<s>", kToken, {{"special", true}});
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("a<s>"), ElementsAre('a', '<', 's', '>'));
  EXPECT_THAT(tokenizer.encode("a<s>", {.allow_special = true}), ElementsAre('a', kToken));
}

TEST_F(AddedTokens, OtherAddedTokensAreAlwaysFound) {
  Json document = byte_document();
  add_token(document, "<think>", kToken, {{"special", false}});
  EXPECT_THAT(load(document).encode("a<think>"), ElementsAre('a', kToken));
}

TEST_F(AddedTokens, LongestOfThoseAtOnePlaceCounts) {
  Json document = byte_document();
  add_token(document, "ab", kToken);
  add_token(document, "abcd", kToken + 1);
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("abcd"), ElementsAre(kToken + 1));
  EXPECT_THAT(tokenizer.encode("abcx"), ElementsAre(kToken, 'c', 'x'));
}

TEST_F(AddedTokens, LeftmostCountsBeforeALongerOne) {
  Json document = byte_document();
  add_token(document, "ab", kToken);
  add_token(document, "bcd", kToken + 1);
  EXPECT_THAT(load(document).encode("abcd"), ElementsAre(kToken, 'c', 'd'));
}

TEST_F(AddedTokens, SingleWordIsNotFoundInsideAWord) {
  Json document = byte_document();
  add_token(document, "ab", kToken, {{"single_word", true}});
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("-ab-"), ElementsAre('-', kToken, '-'));
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(kToken));
  EXPECT_EQ(tokenizer.encode("xab").size(), 3u);
  EXPECT_EQ(tokenizer.encode("ab_").size(), 3u);
  EXPECT_EQ(tokenizer.encode("ab\xcc\x81").size(), 4u);  // a mark belongs to the word
}

TEST_F(AddedTokens, StripFlagsTakeTheWhiteSpaceBeside) {
  Json document = byte_document();
  add_token(document, "LL", kToken, {{"lstrip", true}});
  add_token(document, "RR", kToken + 1, {{"rstrip", true}});
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("x \t\xc2\xa0LL y"), ElementsAre('x', kToken, ' ', 'y'));
  EXPECT_THAT(tokenizer.encode("x RR \n y"), ElementsAre('x', ' ', kToken + 1, 'y'));
  EXPECT_THAT(tokenizer.encode("RR  LL"), ElementsAre(kToken + 1, kToken));
  EXPECT_THAT(tokenizer.encode("x\x1cLL"), ElementsAre('x', 0x1c, kToken));  // a separator, not White_Space
}

TEST_F(AddedTokens, WhiteSpaceTakenToTheRightMayHoldAnotherToken) {
  Json document = byte_document();
  add_token(document, "RR", kToken, {{"rstrip", true}});
  add_token(document, "  ", kToken + 1);
  EXPECT_THAT(load(document).encode("RR    x"), ElementsAre(kToken, kToken + 1, kToken + 1, 'x'));
}

TEST_F(AddedTokens, NormalizedOnesAreSoughtInTheNormalForm) {
  Json document = byte_document();
  document["normalizer"] = {{"type", "NFC"}};
  add_token(document, "xe\xcc\x81", kToken, {{"normalized", true}});
  add_token(document, "yo\xcc\x88", kToken + 1, {{"normalized", false}});
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("x\xc3\xa9"), ElementsAre(kToken));
  EXPECT_THAT(tokenizer.encode("xe\xcc\x81"), ElementsAre(kToken));
  EXPECT_THAT(tokenizer.encode("yo\xcc\x88"), ElementsAre(kToken + 1));
  EXPECT_EQ(tokenizer.encode("y\xc3\xb6").size(), 3u);
}

TEST_F(AddedTokens, NormalizedOnesDecodeToTheirNormalForm) {
  Json document = byte_document();
  document["normalizer"] = {{"type", "NFC"}};
  add_token(document,
            "\xe4\xb8\xad"
            "e\xcc\x81",
            kToken, {{"normalized", true}});
  add_token(document,
            "\xe4\xb8\xad"
            "o\xcc\x88",
            kToken + 1, {{"normalized", false}});
  const Tokenizer tokenizer = load(document);
  EXPECT_EQ(tokenizer.decode(Ids{kToken}), "\xe4\xb8\xad\xc3\xa9");
  EXPECT_EQ(tokenizer.decode(Ids{kToken + 1}),
            "\xe4\xb8\xad"
            "o\xcc\x88");
  EXPECT_EQ(tokenizer.id_to_token(kToken),
            "\xe4\xb8\xad"
            "e\xcc\x81");
}

TEST_F(AddedTokens, SignsOfBytesInAContentAreDecodedAsBytes) {
  Json document = byte_document();
  add_token(document, "<\xc3\xa9>", kToken);       // U+00E9 is the sign of byte 0xe9
  add_token(document, "<\xc3\xa9 >", kToken + 1);  // a blank is no sign: the content stays as it is
  EXPECT_EQ(load(document).decode(Ids{kToken}), "<\xef\xbf\xbd>");
  EXPECT_EQ(load(document).decode(Ids{kToken + 1}), "<\xc3\xa9 >");
}

TEST_F(AddedTokens, MaySitInAGapOrInTheVocabulary) {
  Json document = byte_document();
  document["model"]["vocab"]["<s>"] = 300;
  add_token(document, "<s>", 300, {{"special", true}});
  add_token(document, "<t>", 290);
  const Tokenizer tokenizer = load(document);
  EXPECT_EQ(tokenizer.vocab_size(), 301);
  EXPECT_EQ(tokenizer.token_to_id("<t>"), 290);
  EXPECT_TRUE(tokenizer.is_special(300));
  EXPECT_FALSE(tokenizer.is_special(290));
}

TEST_F(AddedTokens, IdThatTheModelGivesToAnotherTokenIsRefused) {
  Json document = byte_document();
  add_token(document, "<s>", 'a');
  EXPECT_THAT(error_of(document), HasSubstr("added token '<s>' has the id 97, the model's vocabulary says otherwise"));
  document = byte_document();
  add_token(document, "a", 300);
  EXPECT_THAT(error_of(document), HasSubstr("added token 'a' has the id 300"));
}

TEST_F(AddedTokens, TwoTokensOfOneIdAreRefused) {
  Json document = byte_document();
  add_token(document, "<s>", kToken);
  add_token(document, "<t>", kToken);
  EXPECT_THAT(error_of(document), HasSubstr("tokens '<s>' and '<t>' both have the id 256"));
}

TEST_F(AddedTokens, EmptyAndEndlessContentsAreRefused) {
  for (const size_t size : {0, 257}) {
    Json document = byte_document();
    add_token(document, std::string(size, 'x'), kToken);
    EXPECT_THAT(error_of(document), HasSubstr("want 1 to 256"));
  }
}

TEST_F(AddedTokens, LongTextOfBeginningsOfATokenIsNotQuadratic) {
  Json document = byte_document();
  add_token(document, std::string(255, 'a') + "b", kToken);
  EXPECT_EQ(load(document).encode(std::string(100000, 'a')).size(), 100000u);
}

TEST_F(AddedTokens, EmptyTextHasNoIds) {
  Json document = byte_document();
  add_token(document, "<s>", kToken, {{"special", true}});
  EXPECT_THAT(load(document).encode(""), IsEmpty());
}

}  // namespace
}  // namespace noregret
