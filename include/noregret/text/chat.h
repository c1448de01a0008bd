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

// A piece of a rendered conversation.
struct ChatPiece {
  std::string text;
  bool is_control =
      false;  // one control token, written by the template; everything else is plain text, whatever it looks like
  bool is_completion = false;  // an assistant's text or the token that ends it: carries loss in SFT
};

// A chat template family as a table entry; each is checked against jinja2 on the model's own template.
class ChatTemplate {
 public:
  // "auto" picks by fingerprint of the tokenizer's chat_template (no match: DataError listing the families; no template
  // at all: "none"); else a family's name: "chatml", "smollm2", "llama3", "none". Throws ConfigError on an unknown
  // name, or one whose control tokens the tokenizer lacks. To be used with this tokenizer alone.
  static ChatTemplate pick(const std::string& name, const Tokenizer& tokenizer);
  static std::vector<std::string> families();

  std::string name() const;
  // Throws DataError on a role the family does not know: all know system, user and assistant alone. With
  // add_generation_prompt the text ends where the assistant's answer begins. Family "none": the contents one after
  // another; BOS first where the tokenizer adds one; the tokenizer's EOS ends an assistant's text.
  std::vector<ChatPiece> render(const std::vector<Message>& messages, bool add_generation_prompt) const;
  std::string render_text(const std::vector<Message>& messages, bool add_generation_prompt) const;
  // What follows the token that ended an assistant's turn when others speak next: from there to where the assistant's
  // next answer begins. Throws as render() does.
  std::vector<ChatPiece> render_reply(const std::vector<Message>& messages) const;
  // The ids that end an assistant's turn: the template's own and the tokenizer's EOS.
  std::vector<int64_t> stop_ids(const Tokenizer& tokenizer) const;

 private:
  explicit ChatTemplate(int family) : family_(family) {}
  void begin_turn(std::vector<ChatPiece>& pieces, std::string_view role) const;
  void add_turn(std::vector<ChatPiece>& pieces, std::string_view role, std::string_view content) const;

  int family_;
  std::string bos_;  // control tokens of this tokenizer, "" when none
  std::string turn_end_;
};

struct EncodedChat {
  std::vector<int64_t> ids;
  std::vector<bool> is_completion;  // one an id
};

// Renders and tokenizes once. BOS exactly once. An assistant's text begins a token, so the ids of a prompt are a prefix
// of the ids of the prompt with its answer; all other text between two control tokens is tokenized as one.
EncodedChat encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::vector<Message>& messages,
                        bool add_generation_prompt);
// The ids of render_reply(): those between two answers in encode_chat() of the whole conversation.
std::vector<int64_t> encode_reply(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                  const std::vector<Message>& messages);

}  // namespace noregret
