#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "noregret/text/tokenizer.h"

namespace noregret {

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// A piece of a rendered conversation. Control tokens are recognised in the template's own pieces only, never in message texts.
struct ChatPiece {
  std::string text;
  bool is_control = false;    // written by the template: may hold control tokens
  bool is_completion = false; // an assistant's text or the token that ends it: carries loss in SFT
};

// A chat template family as a table entry; each is checked against jinja2 on the model's own template.
class ChatTemplate {
 public:
  // "auto" picks by fingerprint of the tokenizer's chat_template (no match: DataError listing the families; no template at all: "none");
  // else a family's name: "chatml", "smollm2", "llama3", "none". Throws ConfigError on an unknown name.
  static ChatTemplate pick(const std::string& name, const Tokenizer& tokenizer);
  static std::vector<std::string> families();

  const std::string& name() const;
  // Throws DataError on a role the family does not know. With add_generation_prompt the text ends where the assistant's answer begins.
  // Family "none": the contents one after another, nothing added but BOS where the tokenizer adds one.
  std::vector<ChatPiece> render(const std::vector<Message>& messages, bool add_generation_prompt) const;
  std::string render_text(const std::vector<Message>& messages, bool add_generation_prompt) const;
  // The ids that end an assistant's turn: the template's own and the tokenizer's EOS.
  std::vector<int64_t> stop_ids(const Tokenizer& tokenizer) const;

 private:
  explicit ChatTemplate(int family) : family_(family) {}
  int family_;
};

struct EncodedChat {
  std::vector<int64_t> ids;
  std::vector<bool> is_completion;  // one an id
};

// Renders and tokenizes once. BOS exactly once.
EncodedChat encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::vector<Message>& messages, bool add_generation_prompt);

}  // namespace noregret
