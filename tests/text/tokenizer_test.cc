#include "noregret/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/base/rng.h"
#include "noregret/base/text.h"
#include "tests/text/text_support.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using TokenizerFile = ModelFolder;

void append_utf8(std::string& text, uint32_t c) {
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += {static_cast<char>(0xc0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3f))};
  } else if (c < 0x10000) {
    text += {static_cast<char>(0xe0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 0x3f)),
             static_cast<char>(0x80 | (c & 0x3f))};
  } else {
    text += {static_cast<char>(0xf0 | (c >> 18)), static_cast<char>(0x80 | ((c >> 12) & 0x3f)),
             static_cast<char>(0x80 | ((c >> 6) & 0x3f)), static_cast<char>(0x80 | (c & 0x3f))};
  }
}

TEST(Tokenizer, AnyTextComesBackWhereAllBytesAreThere) {
  const Tokenizer tokenizer = Tokenizer::load(golden_dir() / "llama3");
  Rng rng(20254);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (uint64_t n = rng.below(20); n > 0; --n) {
      const auto point = static_cast<uint32_t>(rng.below(4) == 0 ? rng.below(0x110000) : rng.below(0x80));
      if (point < 0xd800 || point > 0xdfff) append_utf8(text, point);
    }
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    EXPECT_EQ(tokenizer.normalize(text), text);
  }
}

TEST(Tokenizer, NormalizeComposesWhereTheTokenizerDoes) {
  EXPECT_EQ(Tokenizer::load(golden_dir() / "qwen2").normalize("e\xcc\x81"), "\xc3\xa9");
  EXPECT_EQ(Tokenizer::load(golden_dir() / "llama3").normalize("e\xcc\x81"), "e\xcc\x81");
}

TEST(Tokenizer, TextThatIsNotUtf8IsRefused) {
  const Tokenizer tokenizer = Tokenizer::load(golden_dir() / "llama3");
  for (const char* bad : {"a\xff", "\xc3", "\xed\xa0\x80"}) {
    try {
      tokenizer.encode(bad);
      FAIL() << "no error";
    } catch (const DataError& e) {
      EXPECT_THAT(e.what(), HasSubstr("text to tokenize is not UTF-8"));
    }
  }
}

TEST(Tokenizer, IdOutsideTheVocabularyIsRefused) {
  const Tokenizer tokenizer = Tokenizer::load(golden_dir() / "llama3");
  for (const int64_t bad : {int64_t{-1}, tokenizer.vocab_size(), int64_t{1} << 40, INT64_MIN}) {
    try {
      tokenizer.decode(Ids{0, bad});
      FAIL() << "no error";
    } catch (const DataError& e) {
      EXPECT_THAT(e.what(),
                  HasSubstr(cat("id ", bad, " is no token; the tokenizer has ids 0 to ", tokenizer.vocab_size() - 1)));
    }
    EXPECT_THROW(tokenizer.id_to_token(bad), DataError);
    EXPECT_FALSE(tokenizer.is_special(bad));
  }
}

TEST(Tokenizer, SkipsControlTokensOnlyWhenAsked) {
  const Tokenizer tokenizer = Tokenizer::load(golden_dir() / "llama3");
  Ids ids = tokenizer.encode("hi", {.add_bos = true});
  EXPECT_EQ(tokenizer.decode(ids), "<|begin_of_text|>hi");
  EXPECT_EQ(tokenizer.decode(ids, true), "hi");
}

TEST(Tokenizer, NamesOfTheConfigBecomeIds) {
  const Tokenizer tokenizer = Tokenizer::load(golden_dir() / "smollm2");
  EXPECT_EQ(tokenizer.bos_id(), tokenizer.token_to_id("<|im_start|>"));
  EXPECT_EQ(tokenizer.eos_id(), tokenizer.token_to_id("<|im_end|>"));
  EXPECT_EQ(tokenizer.pad_id(), tokenizer.token_to_id("<|im_end|>"));
  EXPECT_THAT(tokenizer.chat_template(), HasSubstr("named SmolLM"));
}

TEST(Tokenizer, DigestIsOfTokenizerJson) {
  EXPECT_EQ(Tokenizer::load(golden_dir() / "qwen2").digest(), sha256_file(golden_dir() / "qwen2/tokenizer.json"));
}

TEST(Tokenizer, FolderWithoutTokenizerIsRefused) { EXPECT_THROW(Tokenizer::load(golden_dir() / "missing"), DataError); }

TEST_F(TokenizerFile, ConfigMayBeAbsent) {
  const Tokenizer tokenizer = load(byte_document());
  EXPECT_EQ(tokenizer.eos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.chat_template(), "");
}

TEST_F(TokenizerFile, TokensOfTheConfigMayBeObjectsOrNull) {
  write("tokenizer_config.json", R"({"eos_token": {"content": "a", "lstrip": false}, "bos_token": null})");
  const Tokenizer tokenizer = load(byte_document());
  EXPECT_EQ(tokenizer.eos_id(), 'a');
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
}

TEST_F(TokenizerFile, TokenOfTheConfigThatIsNoneIsRefused) {
  write("tokenizer_config.json", R"({"eos_token": "<eos>"})");
  EXPECT_THAT(error_of(byte_document()),
              HasSubstr("tokenizer_config.json: eos_token '<eos>' is no token of tokenizer.json"));
}

TEST_F(TokenizerFile, TokenOfTheConfigOfAnotherTypeIsRefused) {
  write("tokenizer_config.json", R"({"pad_token": 3})");
  EXPECT_THAT(error_of(byte_document()), HasSubstr("tokenizer_config.json: key 'pad_token' is an integer"));
}

TEST_F(TokenizerFile, TemplateFileWinsOverTheConfig) {
  write("tokenizer_config.json", R"({"chat_template": "of the config"})");
  EXPECT_EQ(load(byte_document()).chat_template(), "of the config");
  write("chat_template.jinja", "of the file");
  EXPECT_EQ(load(byte_document()).chat_template(), "of the file");
}

TEST_F(TokenizerFile, OfNamedTemplatesTheDefaultCounts) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}]})");
  EXPECT_EQ(load(byte_document()).chat_template(), "y");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "x"}]})");
  EXPECT_THAT(error_of(byte_document()), HasSubstr("'chat_template' is a list without the name 'default'"));
}

TEST_F(TokenizerFile, PostProcessorsWrapOneAnother) {
  Json document = byte_document();
  const auto around = [](int64_t before, int64_t after) {
    return Json{{"type", "TemplateProcessing"},
                {"single",
                 {{{"SpecialToken", {{"id", "B"}}}}, {{"Sequence", {{"id", "A"}}}}, {{"SpecialToken", {{"id", "E"}}}}}},
                {"special_tokens", {{"B", {{"ids", {before}}}}, {"E", {{"ids", {after}}}}}}};
  };
  document["post_processor"] = {{"type", "Sequence"}, {"processors", {byte_level(true), around(1, 2), around(3, 4)}}};
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("a", {.add_bos = true}), ElementsAre(3, 1, 'a', 2, 4));
  EXPECT_THAT(tokenizer.encode("a"), ElementsAre('a'));
  EXPECT_THAT(tokenizer.encode("", {.add_bos = true}), ElementsAre(3, 1, 2, 4));
}

TEST_F(TokenizerFile, PostProcessorThatAddsNoTokenIsRefused) {
  Json document = byte_document();
  document["post_processor"] = {{"type", "TemplateProcessing"},
                                {"single", {{{"SpecialToken", {{"id", "B"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                                {"special_tokens", {{"B", {{"ids", {999}}}}}}};
  EXPECT_THAT(error_of(document), HasSubstr("post_processor adds the id 999, which is no token"));
  document["post_processor"]["special_tokens"]["B"]["ids"] = {-1};
  EXPECT_THAT(error_of(document), HasSubstr("'ids' of 'B' holds something else than ids"));
  document["post_processor"]["special_tokens"] = Json::object();
  EXPECT_THAT(error_of(document), HasSubstr("key 'B' is missing"));
  document["post_processor"]["single"] = Json::array();
  EXPECT_THAT(error_of(document), HasSubstr("'single' takes the text 0 times, want once"));
}

TEST_F(TokenizerFile, UnknownPartsAreRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> parts = {{"normalizer", "NFKC"},
                                                                  {"decoder", "Metaspace"},
                                                                  {"post_processor", "BertProcessing"},
                                                                  {"pre_tokenizer", "Whitespace"}};
  for (const auto& [place, type] : parts) {
    Json document = byte_document();
    document[place] = {{"type", type}};
    EXPECT_THAT(error_of(document),
                HasSubstr(cat("tokenizer.json: ", place, " type '", type, "' is not supported; known: ")));
  }
}

TEST_F(TokenizerFile, NormalizersMayStandInASequence) {
  Json document = byte_document();
  document["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  EXPECT_EQ(load(document).normalize("e\xcc\x81"), "\xc3\xa9");
  document["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  EXPECT_EQ(load(document).normalize("e\xcc\x81"), "e\xcc\x81");
}

TEST_F(TokenizerFile, DecodersMayStandInASequenceButOneMustBeThere) {
  Json document = byte_document();
  document["decoder"] = {{"type", "Sequence"}, {"decoders", {byte_level(true)}}};
  EXPECT_EQ(load(document).decode(Ids{'a', ' ', 0xc3, 0xa9}), "a \xc3\xa9");
  document["decoder"] = nullptr;
  EXPECT_THAT(error_of(document), HasSubstr("there is no decoder, want ByteLevel"));
}

TEST_F(TokenizerFile, IdsOutOfRangeAreRefusedBeforeATableIsMade) {
  for (const Json& id :
       {Json(int64_t{1} << 20), Json(UINT64_MAX), Json(-1), Json(1.5), Json("7"), Json(nullptr), Json::array()}) {
    Json document = byte_document();
    document["model"]["vocab"]["zz"] = id;
    EXPECT_THAT(error_of(document), HasSubstr("token 'zz' has the id ")) << id;
    document = byte_document();
    add_token(document, "zz", 0, {{"id", id}});
    EXPECT_THAT(error_of(document), HasSubstr("token 'zz' has the id ")) << id;
  }
}

TEST_F(TokenizerFile, TwoTokensOfOneIdAreRefused) {
  Json document = byte_document();
  document["model"]["vocab"]["zz"] = 'a';
  EXPECT_THAT(error_of(document), HasSubstr("tokens 'a' and 'zz' both have the id 97"));
}

TEST_F(TokenizerFile, DeepAndForeignDocumentsAreRefused) {
  const auto error_of_text = [&](const std::string& content) -> std::string {
    write("tokenizer.json", content);
    try {
      Tokenizer::load(dir_);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error_of_text(std::string(100000, '[')), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(error_of_text("[]"), HasSubstr("is no object, want a Hugging Face tokenizer"));
  EXPECT_THAT(error_of_text("{}"), HasSubstr("tokenizer.json: "));
  EXPECT_THAT(error_of_text(""), HasSubstr("not JSON"));
  EXPECT_THAT(error_of_text(R"({"model": {"vocab": {"a": 0, "a": 1}}})"), HasSubstr("key 'a' is there twice"));
  std::string deep = R"({"normalizer":)";
  for (int i = 0; i < 20; ++i) deep += R"({"type":"Sequence","normalizers":[)";
  for (int i = 0; i < 20; ++i) deep += "]}";
  EXPECT_THAT(error_of_text(deep + "}"), HasSubstr("key 'model' is missing"));
}

TEST_F(TokenizerFile, EveryWrongTypeIsAnError) {
  const std::vector<std::string> places = {"added_tokens",   "normalizer", "pre_tokenizer",
                                           "post_processor", "decoder",    "model"};
  for (const std::string& place : places) {
    for (const Json& value : {Json(1), Json("x"), Json(true), Json::array({1}), Json{{"type", 5}}}) {
      Json document = byte_document();
      document[place] = value;
      EXPECT_THAT(error_of(document), HasSubstr("tokenizer.json: ")) << place << " " << value;
    }
  }
  for (const char* key : {"vocab", "merges"}) {
    Json document = byte_document();
    document["model"][key] = 5;
    EXPECT_THAT(error_of(document), HasSubstr(std::string("'") + key + "' is no"));
    document["model"].erase(key);
    EXPECT_THAT(error_of(document), HasSubstr(std::string("key '") + key + "' is missing"));
  }
}

// Bytes changed at random: the file loads or is refused, and what loads encodes.
TEST_F(TokenizerFile, DamagedFilesLoadOrAreRefused) {
  const std::string whole = read_file(golden_dir() / "llama3/tokenizer.json");
  Rng rng(20255);
  int num_loaded = 0;
  for (int i = 0; i < 300; ++i) {
    std::string damaged = whole;
    for (uint64_t n = 1 + rng.below(3); n > 0; --n) {
      const size_t at = rng.below(damaged.size());
      switch (rng.below(3)) {
        case 0:
          damaged[at] = static_cast<char>(rng.below(256));
          break;
        case 1:
          damaged.erase(at, 1 + rng.below(40));
          break;
        default:
          damaged.insert(at, damaged.substr(rng.below(damaged.size()), 1 + rng.below(40)));
      }
    }
    write("tokenizer.json", damaged);
    try {
      const Tokenizer tokenizer = Tokenizer::load(dir_);
      ++num_loaded;
      (void)tokenizer.decode(tokenizer.encode("The 123 quick\n\nfoxes' <|eot_id|>", {.allow_special = true}));
    } catch (const DataError&) {
    }
  }
  EXPECT_GT(num_loaded, 0);
  EXPECT_LT(num_loaded, 300);
}

}  // namespace
}  // namespace noregret
