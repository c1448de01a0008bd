#include "text/post_processor.h"

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "text/parts.h"

namespace noregret::text {
namespace {

std::vector<int64_t> ids_of(const Json& special_tokens, const std::string& token, const std::string& where) {
  const Json& list = json_at(json_at(special_tokens, token.c_str(), where), "ids", where);
  if (!list.is_array()) throw DataError(where + ": 'ids' is no list");
  std::vector<int64_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) {
      throw DataError(cat(where, ": 'ids' of ", noregret::quoted(token), " holds something else than ids"));
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

void append(std::vector<int64_t>& to, const std::vector<int64_t>& ids) { to.insert(to.end(), ids.begin(), ids.end()); }

PostProcessor read_template(const Json& json, const std::string& where) {
  const Json& single = json_at(json, "single", where);
  if (!single.is_array()) throw DataError(where + ": 'single' is no list");
  const Json& special_tokens = json_at(json, "special_tokens", where);
  PostProcessor processor;
  int num_texts = 0;
  for (const Json& piece : single) {
    if (piece.is_object() && piece.contains("Sequence")) {
      ++num_texts;
      continue;
    }
    const std::string token = json_string(json_at(piece, "SpecialToken", where), "id", where);
    append(num_texts == 0 ? processor.before : processor.after, ids_of(special_tokens, token, where));
  }
  if (num_texts != 1) throw DataError(cat(where, ": 'single' takes the text ", num_texts, " times, want once"));
  return processor;
}

}  // namespace

PostProcessor PostProcessor::parse(const Json& document, const std::string& where) {
  static const PartKind kKind{"post_processor", "processors", {"TemplateProcessing", "ByteLevel"}};
  PostProcessor all;
  for (const Part& part : parts_of(document, kKind, where)) {
    if (part.type == "ByteLevel") continue;  // it moves offsets, which nobody reads here
    PostProcessor outer = read_template(*part.json, cat(where, ": post_processor"));
    append(outer.before, all.before);
    append(all.after, outer.after);
    all.before = std::move(outer.before);
  }
  return all;
}

}  // namespace noregret::text
