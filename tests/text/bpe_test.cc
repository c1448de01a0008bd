#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/text/text_support.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Bpe = ModelFolder;

TEST_F(Bpe, LowestRankComesFirst) {
  Json document = byte_document();
  add_merge(document, "b", "c");  // 256
  add_merge(document, "a", "b");  // 257
  EXPECT_THAT(load(document).encode("abc"), ElementsAre('a', 256));
}

TEST_F(Bpe, LeftmostOfEqualRanksComesFirst) {
  Json document = byte_document();
  add_merge(document, "a", "a");  // 256
  EXPECT_THAT(load(document).encode("aaaaa"), ElementsAre(256, 256, 'a'));
}

TEST_F(Bpe, JoinedTokensJoinAgain) {
  Json document = byte_document();
  add_merge(document, "a", "a");    // 256
  add_merge(document, "aa", "aa");  // 257
  EXPECT_THAT(load(document).encode("aaaaaaa"), ElementsAre(257, 256, 'a'));
}

// Eight letters, seven merges: "unrelated" with each merge in its turn.
TEST_F(Bpe, FollowsTheRanksThroughAWord) {
  Json document = byte_document();
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{
           {"r", "e"}, {"a", "t"}, {"e", "d"}, {"u", "n"}, {"at", "ed"}, {"re", "l"}, {"rel", "ated"}}) {
    add_merge(document, left, right);
  }
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("unrelated"),
              ElementsAre(*tokenizer.token_to_id("un"), *tokenizer.token_to_id("related")));
}

TEST_F(Bpe, MergesAsTextMeanTheSame) {
  Json document = byte_document();
  add_merge(document, "a", "b");
  const Ids pairs = load(document).encode("xabab");
  document["model"]["merges"] = {"a b"};
  EXPECT_EQ(load(document).encode("xabab"), pairs);
}

TEST_F(Bpe, OfTwoEqualMergesTheLastRankCounts) {
  Json document = byte_document();
  add_merge(document, "a", "b");  // 256
  add_merge(document, "b", "c");  // 257
  add_merge(document, "a", "b");  // as tokenizers 0.23.3 has it, now behind "bc"
  EXPECT_THAT(load(document).encode("abc"), ElementsAre('a', 257));
}

TEST_F(Bpe, IgnoreMergesTakesAWholeWord) {
  Json document = byte_document();
  document["model"]["vocab"]["abc"] = 256;
  EXPECT_THAT(load(document).encode("abc"), ElementsAre('a', 'b', 'c'));
  document["model"]["ignore_merges"] = true;
  EXPECT_THAT(load(document).encode("abc"), ElementsAre(256));
  EXPECT_THAT(load(document).encode("abcd"), ElementsAre('a', 'b', 'c', 'd'));
}

TEST_F(Bpe, NoTextBecomesAControlTokenByMergesOrWhole) {
  Json document = byte_document();
  document["model"]["ignore_merges"] = true;
  add_merge(document, "<", "s");   // 256
  add_merge(document, "<s", ">");  // 257
  add_token(document, "<s>", 257, {{"special", true}});
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("<s>"), ElementsAre(256, '>'));
  EXPECT_THAT(tokenizer.encode("<s>", {.allow_special = true}), ElementsAre(257));
}

TEST_F(Bpe, ControlTokenOfOneCharacterIsNoCharacter) {
  Json document = byte_document();
  document["pre_tokenizer"] = nullptr;  // so that a tabulator reaches the model as it is
  document["model"]["vocab"]["\t"] = 256;
  add_token(document, "\t", 256, {{"special", true}});
  EXPECT_THAT(load(document).encode("a\tb"), ElementsAre('a', 'b'));
}

TEST_F(Bpe, WordsThatAreTokensFollowTheirMergesAllTheSame) {
  Json document = byte_document();
  add_merge(document, "a", "b");   // 256
  add_merge(document, "b", "c");   // 257, never reached in "abc"
  add_merge(document, "a", "bc");  // 258 is in the vocabulary, but "ab" comes first
  EXPECT_THAT(load(document).encode("abc"), ElementsAre(256, 'c'));
}

TEST_F(Bpe, RefusesAControlTokenThatIsTheSignOfAByte) {
  Json document = byte_document();
  add_token(document, "!", '!', {{"special", true}});
  EXPECT_THAT(error_of(document), HasSubstr("special token '!' is also the sign of a byte"));
}

TEST_F(Bpe, UnknownCharactersAreLeftOutOrBecomeTheUnknownToken) {
  Json document = byte_document();
  document["model"]["vocab"].erase("x");
  document["model"]["vocab"]["<unk>"] = 256;
  EXPECT_THAT(load(document).encode("axxb"), ElementsAre('a', 'b'));
  document["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(load(document).encode("axxb"), ElementsAre('a', 256, 256, 'b'));
  document["model"]["fuse_unk"] = true;
  EXPECT_THAT(load(document).encode("axxbx"), ElementsAre('a', 256, 'b', 256));
}

TEST_F(Bpe, KnowsNormalizeWhereBytesAreMissing) {
  Json document = byte_document();
  document["model"]["vocab"].erase("x");
  EXPECT_EQ(load(document).normalize("axxb"), "ab");
}

TEST_F(Bpe, AMegabyteOfOneCharacterIsNotQuadratic) {
  Json document = byte_document();
  std::string token = "a";
  for (int i = 0; i < 6; ++i) {
    add_merge(document, token, token);
    token += token;
  }
  const Ids ids = load(document).encode(std::string(1000000, 'a'));  // one word
  EXPECT_EQ(ids, Ids(1000000 / 64, 261));
}

TEST_F(Bpe, RefusesOptionsThatItDoesNotKnow) {
  const std::vector<std::pair<std::string, Json>> options = {
      {"byte_fallback", true}, {"dropout", 0.1}, {"continuing_subword_prefix", "##"}, {"end_of_word_suffix", "</w>"}};
  for (const auto& [key, value] : options) {
    Json document = byte_document();
    document["model"][key] = value;
    EXPECT_THAT(error_of(document), HasSubstr("tokenizer.json: model: " + key));
    EXPECT_THAT(error_of(document), HasSubstr("is not supported"));
  }
}

TEST_F(Bpe, OptionsThatChangeNothingAreAllowed) {
  Json document = byte_document();
  document["model"].update({{"dropout", 0.0}, {"continuing_subword_prefix", ""}, {"end_of_word_suffix", nullptr}});
  document["model"].erase("type");  // files of old versions
  EXPECT_THAT(load(document).encode("a"), ElementsAre('a'));
}

TEST_F(Bpe, MergeThatNamesNoTokenIsRefused) {
  Json document = byte_document();
  document["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  EXPECT_THAT(error_of(document), HasSubstr("merge 0 names 'ab', which is not in the vocabulary"));
  document["model"]["merges"] = {"a b", "zz a"};
  document["model"]["vocab"]["ab"] = 256;
  EXPECT_THAT(error_of(document), HasSubstr("merge 1 names 'zz'"));
}

TEST_F(Bpe, MergeOfAnotherFormIsRefused) {
  for (const Json& merge : {Json("ab"), Json("a b c"), Json(5), Json::array({"a"}), Json::array({"a", 1})}) {
    Json document = byte_document();
    document["model"]["merges"] = Json::array({merge});
    EXPECT_THAT(error_of(document), HasSubstr("merge 0 is neither [\"a\", \"b\"] nor \"a b\""));
  }
}

TEST_F(Bpe, UnknownTokenMustBeInTheVocabulary) {
  Json document = byte_document();
  document["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(error_of(document), HasSubstr("unk_token '<unk>' is not in the vocabulary"));
}

TEST_F(Bpe, AnotherModelIsRefusedByName) {
  Json document = byte_document();
  document["model"]["type"] = "Unigram";
  EXPECT_THAT(error_of(document), HasSubstr("model type 'Unigram' is not supported; known: BPE"));
}

}  // namespace
}  // namespace noregret
