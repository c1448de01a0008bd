// Ids and texts as Hugging Face tokenizers 0.23.3 gives them; tests/golden/text/make_goldens.py.
#include <gtest/gtest.h>

#include <thread>

#include "tests/text/text_support.h"

namespace noregret {
namespace {

class Golden : public testing::TestWithParam<const char*> {
 protected:
  Golden()
      : tokenizer_(Tokenizer::load(golden_dir() / GetParam())),
        cases_(golden_json(std::string(GetParam()) + "/cases.json")) {}
  Tokenizer tokenizer_;
  Json cases_;
};

TEST_P(Golden, IdsOfPlainTextMatch) {
  for (const Json& row : cases_["strings"]) {
    EXPECT_EQ(tokenizer_.encode(row["text"].get<std::string>()), row["ids"].get<Ids>()) << row["text"];
  }
}

TEST_P(Golden, IdsWithControlTokensAndBosMatch) {
  for (const Json& row : cases_["strings"]) {
    const Ids ids = tokenizer_.encode(row["text"].get<std::string>(), {.allow_special = true, .add_bos = true});
    EXPECT_EQ(ids, row["special_ids"].get<Ids>()) << row["text"];
  }
}

TEST_P(Golden, DecodedTextsMatch) {
  for (const Json& row : cases_["strings"]) {
    EXPECT_EQ(tokenizer_.decode(row["special_ids"].get<Ids>()), row["decoded"].get<std::string>());
  }
}

TEST_P(Golden, RandomIdsDecodeToTheSameReplacementCharacters) {
  for (const Json& row : cases_["pieces"]) {
    EXPECT_EQ(tokenizer_.decode(row["ids"].get<Ids>()), row["decoded"].get<std::string>()) << row["ids"];
  }
}

TEST_P(Golden, NormalizeIsWhatComesBack) {
  for (const Json& row : cases_["strings"]) {
    const std::string text = row["text"].get<std::string>();
    EXPECT_EQ(tokenizer_.normalize(text), tokenizer_.decode(row["ids"].get<Ids>()));
  }
}

TEST_P(Golden, ThreadsMayShareATokenizer) {
  std::vector<std::vector<Ids>> results(4);
  std::vector<std::thread> threads;
  for (std::vector<Ids>& result : results) {
    threads.emplace_back([&] {
      for (const Json& row : cases_["strings"]) result.push_back(tokenizer_.encode(row["text"].get<std::string>()));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<Ids>& result : results) {
    for (size_t i = 0; i < result.size(); ++i) EXPECT_EQ(result[i], cases_["strings"][i]["ids"].get<Ids>());
  }
}

TEST_P(Golden, SpecialIdsAreTheOnesThatDecodingSkips) {
  for (int64_t id = 0; id < tokenizer_.vocab_size(); ++id) {
    const bool is_skipped = tokenizer_.decode(Ids{id}, true).empty();
    EXPECT_EQ(tokenizer_.is_special(id), is_skipped) << id;
    EXPECT_EQ(tokenizer_.token_to_id(tokenizer_.id_to_token(id)), id);
  }
}

INSTANTIATE_TEST_SUITE_P(Text, Golden, testing::Values("smollm2", "llama3", "qwen2", "odd"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace noregret
