#include <array>

#include "noregret/text/chat.h"
#include "noregret/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

namespace noregret::fuzz {
namespace {

constexpr std::array<const char*, 5> kTexts = {
    "", "ab abc  12\n", "<s>a</s>",
    "e\xcc\x81\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80",  // a combining accent, 2, 3 and 4 bytes
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

// Every id that a text becomes is one of the vocabulary.
void use(const Tokenizer& tokenizer) {
  for (const std::string_view text : kTexts) {
    for (const bool is_on : {false, true}) {
      std::vector<int64_t> ids;
      if (!goes_through([&] { ids = tokenizer.encode(text, {.allow_special = is_on, .add_bos = is_on}); })) continue;
      for (const int64_t id : ids) {
        NOREGRET_CHECK(id >= 0 && id < tokenizer.vocab_size(), id);
        NOREGRET_CHECK(is_on || !tokenizer.is_special(id), id);
        (void)tokenizer.id_to_token(id);
      }
      NOREGRET_CHECK(is_valid_utf8(tokenizer.decode(ids, is_on)));
    }
  }
  goes_through([&] {
    const ChatTemplate chat = ChatTemplate::pick("auto", tokenizer);
    (void)encode_chat(tokenizer, chat, {{"system", "a"}, {"user", "b <s>"}, {"assistant", "ab"}}, true);
  });
}

}  // namespace

bool tokenizer(std::string_view input) {
  static const Folder folder;
  const auto [document, config] = split_at_nul(input);
  folder.write("tokenizer.json", document);
  if (config.empty()) {
    folder.remove("tokenizer_config.json");
  } else {
    folder.write("tokenizer_config.json", config);
  }
  return goes_through([&] { use(Tokenizer::load(folder.path())); });
}

}  // namespace noregret::fuzz
