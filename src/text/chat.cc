#include "noregret/text/chat.h"

#include <algorithm>
#include <array>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "text/chat_families.h"
#include "text/chat_fingerprint.h"
#include "text/unicode.h"

namespace noregret {
namespace {

using namespace text;

constexpr std::array<std::string_view, 3> kRoles = {"system", "user", "assistant"};

int find_family(std::string_view name) {
  const auto found = std::find_if(kChatFamilies.begin(), kChatFamilies.end(),
                                  [&](const ChatFamily& family) { return family.name == name; });
  return found == kChatFamilies.end() ? -1 : static_cast<int>(found - kChatFamilies.begin());
}

std::string_view family_of_template(const std::string& source) {
  if (source.empty()) return kNoFamily;
  const std::string fingerprint = template_fingerprint(source);
  for (const KnownTemplate& known : kKnownTemplates) {
    if (known.fingerprint == fingerprint) return known.family;
  }
  throw DataError(cat("the tokenizer's chat_template (fingerprint ", fingerprint,
                      ") is of no known family; set model.chat_template to the one it belongs to: ",
                      join(ChatTemplate::families(), ", ")));
}

// The first of the family's control tokens that the tokenizer does not have as such.
std::string_view missing_token(const ChatFamily& family, const Tokenizer& tokenizer) {
  for (const std::string_view token : {family.bos, family.turn_begin, family.role_end, family.turn_end}) {
    const auto id = tokenizer.token_to_id(token);
    if (!token.empty() && !(id && tokenizer.is_special(*id))) return token;
  }
  return {};
}

// The token that the tokenizer puts before a text, "" when none.
std::string added_bos(const Tokenizer& tokenizer) {
  const std::vector<int64_t> added = tokenizer.encode("", {.add_bos = true});
  if (added.empty()) return "";
  const auto bos = tokenizer.bos_id();
  const bool is_bos = bos ? added.front() == *bos : added.front() != tokenizer.eos_id();
  return is_bos ? tokenizer.id_to_token(added.front()) : "";
}

// White space as Python's str.strip() has it: the separators U+001C to U+001F too.
bool is_stripped(char32_t c) { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

std::string_view stripped(std::string_view content) {
  while (!content.empty() && is_stripped(code_point_at(content, 0).value)) {
    content.remove_prefix(code_point_at(content, 0).num_bytes);
  }
  while (!content.empty() && is_stripped(code_point_before(content, content.size()).value)) {
    content.remove_suffix(code_point_before(content, content.size()).num_bytes);
  }
  return content;
}

void check(const std::vector<Message>& messages, std::string_view family) {
  if (messages.empty()) throw DataError(cat("chat template ", family, ": no messages, want at least one"));
  for (const Message& message : messages) {
    if (std::find(kRoles.begin(), kRoles.end(), message.role) == kRoles.end()) {
      throw DataError(cat("chat template ", family, ": role ", noregret::quoted(message.role),
                          " is not supported; known: ", join({kRoles.begin(), kRoles.end()}, ", ")));
    }
    if (!is_valid_utf8(message.content)) {
      throw DataError(cat("chat template ", family, ": a message of the ", message.role,
                          " is not UTF-8: ", noregret::quoted(message.content)));
    }
  }
}

void add_piece(std::vector<ChatPiece>& pieces, std::string_view text, bool is_control, bool is_completion) {
  if (!text.empty()) pieces.push_back({std::string(text), is_control, is_completion});
}

}  // namespace

ChatTemplate ChatTemplate::pick(const std::string& name, const Tokenizer& tokenizer) {
  const bool is_auto = name == "auto";
  const int idx = find_family(is_auto ? family_of_template(tokenizer.chat_template()) : name);
  if (idx < 0) {
    std::vector<std::string> known = families();
    known.insert(known.begin(), "auto");
    throw ConfigError(cat("model.chat_template is ", noregret::quoted(name), ", want one of ", join(known, ", "),
                          did_you_mean(name, known)));
  }
  const ChatFamily& family = kChatFamilies[static_cast<size_t>(idx)];
  if (const std::string_view missing = missing_token(family, tokenizer); !missing.empty()) {
    const std::string what = cat("chat template ", family.name, " needs the control token ", noregret::quoted(missing),
                                 ", which the tokenizer does not have");
    if (is_auto) throw DataError(what + "; take tokenizer.json and tokenizer_config.json from one model");
    throw ConfigError(what + "; set model.chat_template to auto or none");
  }
  ChatTemplate chat(idx);
  chat.bos_ = family.bos;
  chat.turn_end_ = family.turn_end;
  if (family.name == kNoFamily) {
    chat.bos_ = added_bos(tokenizer);
    if (tokenizer.eos_id()) chat.turn_end_ = tokenizer.id_to_token(*tokenizer.eos_id());
  }
  return chat;
}

std::vector<std::string> ChatTemplate::families() {
  std::vector<std::string> names;
  for (const ChatFamily& family : kChatFamilies) names.emplace_back(family.name);
  return names;
}

std::string ChatTemplate::name() const { return std::string(kChatFamilies[static_cast<size_t>(family_)].name); }

void ChatTemplate::begin_turn(std::vector<ChatPiece>& pieces, std::string_view role) const {
  const ChatFamily& family = kChatFamilies[static_cast<size_t>(family_)];
  if (family.turn_begin.empty()) return;
  add_piece(pieces, family.turn_begin, true, false);
  add_piece(pieces, role, false, false);
  add_piece(pieces, family.role_end, true, false);
  add_piece(pieces, family.after_role, false, false);
}

void ChatTemplate::add_turn(std::vector<ChatPiece>& pieces, std::string_view role, std::string_view content) const {
  const ChatFamily& family = kChatFamilies[static_cast<size_t>(family_)];
  const bool is_completion = role == "assistant";
  begin_turn(pieces, role);
  add_piece(pieces, family.strips_contents ? stripped(content) : content, false, is_completion);
  if (!family.turn_begin.empty() || is_completion) add_piece(pieces, turn_end_, true, is_completion);
  add_piece(pieces, family.after_turn, false, false);
}

std::vector<ChatPiece> ChatTemplate::render(const std::vector<Message>& messages, bool add_generation_prompt) const {
  const ChatFamily& family = kChatFamilies[static_cast<size_t>(family_)];
  check(messages, family.name);
  std::vector<ChatPiece> pieces;
  add_piece(pieces, bos_, true, false);
  if (!family.default_system.empty() && messages.front().role != "system") {
    add_turn(pieces, "system", family.default_system);
  }
  for (const Message& message : messages) add_turn(pieces, message.role, message.content);
  if (add_generation_prompt) begin_turn(pieces, "assistant");
  return pieces;
}

std::vector<ChatPiece> ChatTemplate::render_reply(const std::vector<Message>& messages) const {
  const ChatFamily& family = kChatFamilies[static_cast<size_t>(family_)];
  check(messages, family.name);
  std::vector<ChatPiece> pieces;
  add_piece(pieces, family.after_turn, false, false);
  for (const Message& message : messages) add_turn(pieces, message.role, message.content);
  begin_turn(pieces, "assistant");
  return pieces;
}

std::string ChatTemplate::render_text(const std::vector<Message>& messages, bool add_generation_prompt) const {
  std::string text;
  for (const ChatPiece& piece : render(messages, add_generation_prompt)) text += piece.text;
  return text;
}

std::vector<int64_t> ChatTemplate::stop_ids(const Tokenizer& tokenizer) const {
  std::vector<int64_t> ids;
  if (const auto id = tokenizer.token_to_id(turn_end_); !turn_end_.empty() && id) ids.push_back(*id);
  if (const auto eos = tokenizer.eos_id(); eos && std::find(ids.begin(), ids.end(), *eos) == ids.end()) {
    ids.push_back(*eos);
  }
  return ids;
}

namespace {

EncodedChat encode_pieces(const Tokenizer& tokenizer, const std::vector<ChatPiece>& pieces) {
  EncodedChat encoded;
  std::string plain;  // text that is tokenized as one
  bool is_completion = false;
  const auto flush = [&] {
    for (const int64_t id : tokenizer.encode(plain)) {
      encoded.ids.push_back(id);
      encoded.is_completion.push_back(is_completion);
    }
    plain.clear();
  };
  for (const ChatPiece& piece : pieces) {
    if (piece.is_control || piece.is_completion != is_completion) flush();
    is_completion = piece.is_completion;
    if (!piece.is_control) {
      plain += piece.text;
      continue;
    }
    const auto id = tokenizer.token_to_id(piece.text);
    if (!id) throw DataError(cat("the tokenizer has no token ", noregret::quoted(piece.text)));
    encoded.ids.push_back(*id);
    encoded.is_completion.push_back(is_completion);
  }
  flush();
  return encoded;
}

}  // namespace

EncodedChat encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::vector<Message>& messages,
                        bool add_generation_prompt) {
  return encode_pieces(tokenizer, chat.render(messages, add_generation_prompt));
}

std::vector<int64_t> encode_reply(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                  const std::vector<Message>& messages) {
  return encode_pieces(tokenizer, chat.render_reply(messages)).ids;
}

}  // namespace noregret
