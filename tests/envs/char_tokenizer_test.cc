#include <gtest/gtest.h>

#include "envs/registry.h"
#include "noregret/base/file.h"
#include "noregret/text/tokenizer.h"

namespace noregret {
namespace {

Tokenizer quickstart() { return Tokenizer::load(fs::path(NOREGRET_SOURCE_DIR) / "configs/quickstart/base"); }

TEST(CharTokenizer, HasOneIdAByteAndTwoControlTokens) {
  const Tokenizer tokenizer = quickstart();
  EXPECT_EQ(tokenizer.vocab_size(), 258);
  EXPECT_EQ(tokenizer.eos_id(), 256);
  EXPECT_EQ(tokenizer.pad_id(), 257);
  EXPECT_EQ(tokenizer.chat_template(), "");
}

TEST(CharTokenizer, WordProblemsTakeOneIdACharacterAndComeBack) {
  const Tokenizer tokenizer = quickstart();
  const auto tasks = make_task(Node::from_json({{"name", "word_problems"}, {"level", 3}}, Location{}), {.seed = 1});
  for (int64_t i = 0; i < 100; ++i) {
    const Task task = tasks->get(Split::kTrain, i);
    const std::string text = task.messages[0].content + *task.demonstration;
    const std::vector<int64_t> ids = tokenizer.encode(text);
    EXPECT_EQ(ids.size(), text.size());
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
}

TEST(CharTokenizer, AnyTextComesBack) {
  const Tokenizer tokenizer = quickstart();
  const std::string text =
      "Gr\xc3\xbc\xc3\x9f"
      "e, \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80\t<|end|>";
  EXPECT_EQ(tokenizer.encode(text).size(), text.size());  // a control token written in text stays text
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

}  // namespace
}  // namespace noregret
