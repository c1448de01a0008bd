#include "text/tokenizer_config.h"

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"

namespace noregret::text {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 24;

using TokenToId = std::function<std::optional<int64_t>(std::string_view)>;

// A token's name is a string or an object with its content.
std::optional<int64_t> read_token(const Json& config, const char* key, const TokenToId& token_to_id,
                                  const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return std::nullopt;
  const std::string name =
      found->is_object() ? json_string(*found, "content", cat(where, ": ", key)) : json_string(config, key, where);
  const auto id = token_to_id(name);
  if (!id) {
    throw DataError(cat(where, ": ", key, " ", noregret::quoted(name),
                        " is no token of tokenizer.json; add it there or name another"));
  }
  return id;
}

// One template, or a list of named ones, of which "default" is for conversations without tools.
std::string read_template(const Json& config, const std::string& where) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return "";
  if (!found->is_array()) return json_string(config, "chat_template", where);
  for (const Json& item : *found) {
    if (json_string(item, "name", where) == "default") return json_string(item, "template", where);
  }
  throw DataError(where + ": 'chat_template' is a list without the name 'default'");
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_dir, const TokenToId& token_to_id) {
  TokenizerConfig config;
  const fs::path file = model_dir / "tokenizer_config.json";
  if (fs::exists(file)) {
    const std::string where = file.string();
    const Json json = parse_json(read_file(file, kMaxConfigBytes), where);
    if (!json.is_object()) throw DataError(where + ": is no object");
    config.bos_id = read_token(json, "bos_token", token_to_id, where);
    config.eos_id = read_token(json, "eos_token", token_to_id, where);
    config.pad_id = read_token(json, "pad_token", token_to_id, where);
    config.chat_template = read_template(json, where);
  }
  const fs::path jinja = model_dir / "chat_template.jinja";
  if (fs::exists(jinja)) config.chat_template = read_file(jinja, kMaxConfigBytes);
  return config;
}

}  // namespace noregret::text
