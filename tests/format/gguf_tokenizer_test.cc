#include "tests/format/gguf_llama.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(GgufTokenizer, SmolLmSplitsDigitsThenWords) {
  const TempFolder folder;
  const Json json = imported(folder, tiny_llama()).tokenizer;
  EXPECT_EQ(json["pre_tokenizer"], parse_json(R"({"type":"Sequence","pretokenizers":[
      {"type":"Digits","individual_digits":true},
      {"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}]})",
                                              "want"));
  EXPECT_TRUE(json["normalizer"].is_null());
  EXPECT_TRUE(json["post_processor"].is_null());
  EXPECT_EQ(json["decoder"]["type"], "ByteLevel");
  EXPECT_EQ(json["model"]["type"], "BPE");
  EXPECT_EQ(json["model"]["ignore_merges"], false);
  EXPECT_TRUE(json["model"]["unk_token"].is_null());
  EXPECT_EQ(json["model"]["merges"], Json::array({"a b"}));
}

TEST(GgufTokenizer, TokenTypesDecideWhatIsAdded) {
  const TempFolder folder;
  const Imported model = imported(folder, tiny_llama());
  const Json& added = model.tokenizer["added_tokens"];
  ASSERT_EQ(added.size(), 3u);
  EXPECT_EQ(added[0]["content"], "<s>");
  EXPECT_EQ(added[0]["special"], true);
  EXPECT_EQ(added[2]["id"], 5);
  EXPECT_EQ(added[2]["content"], "<tool>");
  EXPECT_EQ(added[2]["special"], false);
  EXPECT_EQ(added[2]["normalized"], false);
  const Json& vocab = model.tokenizer["model"]["vocab"];
  EXPECT_EQ(vocab["c"], 7);
  EXPECT_FALSE(vocab.contains("[PAD6]"));  // an unused row of the embedding
  EXPECT_EQ(vocab.size(), 7u);
}

TEST(GgufTokenizer, Llama3SplitsByItsPatternAndAddsBos) {
  for (const char* pre : {"llama-bpe", "llama3"}) {
    const TempFolder folder;
    GgufBuilder builder = tiny_llama();
    builder.text("tokenizer.ggml.pre", pre);
    const Json json = imported(folder, builder).tokenizer;
    const Json& split = json["pre_tokenizer"]["pretokenizers"][0];
    EXPECT_EQ(split["type"], "Split");
    EXPECT_EQ(split["behavior"], "Isolated");
    EXPECT_EQ(split["invert"], false);
    EXPECT_EQ(split["pattern"]["Regex"], R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                                         R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
    EXPECT_EQ(json["pre_tokenizer"]["pretokenizers"][1]["use_regex"], false);
    EXPECT_EQ(json["model"]["ignore_merges"], true);
    EXPECT_EQ(json["post_processor"], parse_json(R"({"type":"TemplateProcessing",
        "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
        "pair":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
                {"SpecialToken":{"id":"<s>","type_id":1}},{"Sequence":{"id":"B","type_id":1}}],
        "special_tokens":{"<s>":{"id":"<s>","ids":[0],"tokens":["<s>"]}}})",
                                                 "want"));
  }
}

TEST(GgufTokenizer, Qwen2NormalizesAndSplitsSingleDigits) {
  const TempFolder folder;
  GgufBuilder builder = tiny_llama();
  builder.text("tokenizer.ggml.pre", "qwen2");
  const Json json = imported(folder, builder).tokenizer;
  EXPECT_EQ(json["normalizer"]["type"], "NFC");
  EXPECT_EQ(json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"],
            R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
            R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
  EXPECT_TRUE(json["post_processor"].is_null());
}

TEST(GgufTokenizer, Gpt2IsByteLevelAlone) {
  const TempFolder folder;
  GgufBuilder builder = tiny_llama();
  builder.text("tokenizer.ggml.pre", "gpt-2");
  EXPECT_EQ(
      imported(folder, builder).tokenizer["pre_tokenizer"],
      parse_json(R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})", "want"));
}

TEST(GgufTokenizer, FileSaysWhetherBosIsAdded) {
  const TempFolder folder;
  GgufBuilder builder = tiny_llama();
  EXPECT_FALSE(imported(folder, builder).tokenizer_config.contains("add_bos_token"));
  builder.boolean("tokenizer.ggml.add_bos_token", true);
  const Imported with_bos = imported(folder, builder);
  EXPECT_EQ(with_bos.tokenizer["post_processor"]["type"], "TemplateProcessing");
  EXPECT_EQ(with_bos.tokenizer_config["add_bos_token"], true);
  builder.text("tokenizer.ggml.pre", "llama-bpe");
  builder.boolean("tokenizer.ggml.add_bos_token", false);
  EXPECT_TRUE(imported(folder, builder).tokenizer["post_processor"].is_null());
}

TEST(GgufTokenizer, ConfigNamesTheTokensAndHoldsTheTemplate) {
  const TempFolder folder;
  GgufBuilder builder = tiny_llama();
  builder.integer("tokenizer.ggml.padding_token_id", 1);
  builder.text("tokenizer.chat_template", "{{ messages }}\n");
  const Imported model = imported(folder, builder);
  EXPECT_EQ(model.tokenizer_config["bos_token"], "<s>");
  EXPECT_EQ(model.tokenizer_config["eos_token"], "</s>");
  EXPECT_EQ(model.tokenizer_config["pad_token"], "</s>");
  EXPECT_EQ(model.tokenizer_config["chat_template"], "{{ messages }}\n");
  EXPECT_EQ(model.tokenizer_config["model_max_length"], 64);
  EXPECT_EQ(model.tokenizer_config["added_tokens_decoder"]["5"]["special"], false);
  EXPECT_EQ(model.generation_config["eos_token_id"], 1);
  EXPECT_EQ(model.config.bos_token_id, 0);
}

TEST(GgufTokenizer, EveryEndOfTurnIsAnEos) {
  const TempFolder folder;
  GgufBuilder builder = tiny_llama();
  builder.integer("tokenizer.ggml.eot_token_id", 5);
  builder.integer("tokenizer.ggml.eom_token_id", 1);
  const Imported model = imported(folder, builder);
  EXPECT_THAT(model.config.eos_token_ids, ElementsAre(1, 5));
  EXPECT_EQ(model.tokenizer["added_tokens"][2]["special"], true);  // named by the metadata, so a control token
}

TEST(GgufTokenizer, FileWithoutTypesStillHasItsControlTokens) {
  const TempFolder folder;
  GgufBuilder builder = tiny_llama();
  builder.erase("tokenizer.ggml.token_type");
  const Json added = imported(folder, builder).tokenizer["added_tokens"];
  ASSERT_EQ(added.size(), 2u);
  EXPECT_EQ(added[1]["content"], "</s>");
}

TEST(GgufTokenizer, UnknownKindsAreRefusedByName) {
  GgufBuilder builder = tiny_llama();
  builder.text("tokenizer.ggml.model", "llama");
  EXPECT_THAT(import_error(builder), HasSubstr("tokenizer.ggml.model is 'llama'"));
  builder = tiny_llama();
  builder.text("tokenizer.ggml.pre", "smolm");
  EXPECT_THAT(import_error(builder),
              AllOf(HasSubstr("tokenizer.ggml.pre is 'smolm'"), HasSubstr("did you mean 'smollm'")));
  builder = tiny_llama();
  builder.erase("tokenizer.ggml.pre");
  EXPECT_THAT(import_error(builder), HasSubstr("tokenizer.ggml.pre"));
  builder = tiny_llama();
  builder.boolean("tokenizer.ggml.add_eos_token", true);
  EXPECT_THAT(import_error(builder), HasSubstr("add_eos_token"));
}

TEST(GgufTokenizer, BrokenTokenListsAreRefused) {
  const auto error_with = [](const std::vector<std::string>& tokens) {
    GgufBuilder builder = tiny_llama();
    builder.texts("tokenizer.ggml.tokens", tokens);
    return import_error(builder);
  };
  EXPECT_THAT(error_with({"<s>", "</s>", "a", "b", "ab", "<tool>", "a", "c"}),
              AllOf(HasSubstr("'a'"), HasSubstr("twice")));
  EXPECT_THAT(error_with({"<s>", "</s>", "a", "b", "ab", "\xff", "p", "c"}), HasSubstr("not UTF-8"));
  EXPECT_THAT(error_with({"", "</s>", "a", "b", "ab", "<tool>", "p", "c"}), HasSubstr("control token 0 is empty"));
  EXPECT_THAT(error_with({"<s>", "</s>", "a", "b", "ab", "<tool>", "p", "c", "d"}), HasSubstr("9 tokens"));
  EXPECT_THAT(error_with({"<s>", "</s>", "a"}), HasSubstr("token_type has 8 entries, want 3"));
}

TEST(GgufTokenizer, BrokenMergesAreRefused) {
  for (const char* merge : {"a", "a  b", "a x", "b a", " a b", ""}) {
    GgufBuilder builder = tiny_llama();
    builder.texts("tokenizer.ggml.merges", {merge});
    EXPECT_THAT(import_error(builder), HasSubstr("merges holds")) << merge;
  }
}

TEST(GgufTokenizer, TokenIdOutsideTheVocabularyIsRefused) {
  GgufBuilder builder = tiny_llama();
  builder.integer("tokenizer.ggml.eos_token_id", 8);
  EXPECT_THAT(import_error(builder), AllOf(HasSubstr("eos_token_id is 8"), HasSubstr("0 to 7")));
  builder = tiny_llama();
  builder.integers("tokenizer.ggml.token_type", {3, 3, 1, 1, 1, 4, 9, 1});
  EXPECT_THAT(import_error(builder), HasSubstr("is 9"));
}

}  // namespace
}  // namespace noregret
