#include "noregret/text/chat.h"
#include "noregret/text/tokenizer.h"
#include "run/filter.h"
#include "run/verbs.h"

namespace noregret {

ExitCode run_tokenize(const TokenizeArgs& args) {
  if (args.decode && (args.chat || args.bos || args.special)) throw UsageError("tokenize: --decode goes alone");
  const Tokenizer tokenizer = Tokenizer::load(args.model_dir);
  if (args.decode) {
    return filter_lines(args.input, [&](const Json& line, const std::string& where) {
      return Json{{"text", tokenizer.decode(ids_of(line, where, tokenizer.vocab_size()))}};
    });
  }
  if (!args.chat) {
    const Tokenizer::EncodeOptions options{.allow_special = args.special, .add_bos = args.bos};
    return filter_lines(args.input, [&](const Json& line, const std::string& where) {
      return Json{{"ids", tokenizer.encode(json_string(line, "text", where), options)}};
    });
  }
  const ChatTemplate chat = ChatTemplate::pick("auto", tokenizer);
  return filter_lines(args.input, [&](const Json& line, const std::string& where) {
    const Json& list = json_at(line, "messages", where);
    if (!list.is_array()) throw DataError(where + ": 'messages' is no list of {role, content}");
    std::vector<Message> messages;
    for (const Json& item : list)
      messages.push_back({json_string(item, "role", where), json_string(item, "content", where)});
    return Json{{"ids", encode_chat(tokenizer, chat, messages, false).ids}};
  });
}

}  // namespace noregret
