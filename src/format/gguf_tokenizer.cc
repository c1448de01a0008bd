#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "format/gguf_parts.h"
#include "noregret/base/error.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

const std::string kPrefix = "tokenizer.ggml.";

// Values of tokenizer.ggml.token_type (llama.h, enum llama_token_type).
enum TokenType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

// How published tokenizers of a family split text before BPE.
struct Family {
  std::vector<std::string> names;  // of tokenizer.ggml.pre
  bool has_nfc;
  bool splits_digits;
  const char* pattern;  // before ByteLevel; null = ByteLevel's own GPT-2 pattern
  bool trim_offsets;
  bool ignore_merges;  // a whole word of the vocabulary is taken as it is
  bool adds_bos;       // where the file does not say
};

// The published patterns. They differ in how many digits make a word.
constexpr const char* kLlama3Pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                                       R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                                      R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const std::array<Family, 4>& families() {
  static const std::array<Family, 4> rows = {{{{"smollm"}, false, true, nullptr, true, false, false},
                                              {{"llama-bpe", "llama3"}, false, false, kLlama3Pattern, true, true, true},
                                              {{"qwen2"}, true, false, kQwen2Pattern, false, false, false},
                                              {{"gpt-2"}, false, false, nullptr, true, false, false}}};
  return rows;
}

Json byte_level(bool add_prefix_space, bool trim_offsets, bool use_regex) {
  Json json = Json::object();
  json["type"] = "ByteLevel";
  json["add_prefix_space"] = add_prefix_space;
  json["trim_offsets"] = trim_offsets;
  json["use_regex"] = use_regex;
  return json;
}

Json pre_tokenizer(const Family& family) {
  Json parts = Json::array();
  if (family.splits_digits) parts.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (family.pattern != nullptr) {
    Json split = {{"type", "Split"}};
    split["pattern"] = {{"Regex", family.pattern}};
    split["behavior"] = "Isolated";
    split["invert"] = false;
    parts.push_back(std::move(split));
  }
  parts.push_back(byte_level(false, family.trim_offsets, family.pattern == nullptr));
  if (parts.size() == 1) return parts[0];
  Json sequence = {{"type", "Sequence"}};
  sequence["pretokenizers"] = std::move(parts);
  return sequence;
}

Json special_piece(const std::string& token, int type_id) {
  return {{"SpecialToken", {{"id", token}, {"type_id", type_id}}}};
}
Json text_piece(const char* name, int type_id) { return {{"Sequence", {{"id", name}, {"type_id", type_id}}}}; }

// BOS before each text.
Json bos_template(const std::string& bos, int64_t id) {
  Json json = {{"type", "TemplateProcessing"}};
  json["single"] = Json::array({special_piece(bos, 0), text_piece("A", 0)});
  json["pair"] = Json::array({special_piece(bos, 0), text_piece("A", 0), special_piece(bos, 1), text_piece("B", 1)});
  json["special_tokens"][bos] = {{"id", bos}, {"ids", Json::array({id})}, {"tokens", Json::array({bos})}};
  return json;
}

class TokenizerBuilder {
 public:
  TokenizerBuilder(const GgufFile& file, const HfConfig& config)
      : file_(file), config_(config), family_(pick_family(file)), tokens_(file.strings(kPrefix + "tokens")) {
    check_tokens();
    read_types();
    bos_ = gguf_token_id(file_, kPrefix + "bos_token_id");
    adds_bos_ = flag("add_bos_token", family_.adds_bos);
    if (adds_bos_ && !bos_) fail("add_bos_token is on, and bos_token_id is missing");
    if (flag("add_eos_token", false)) fail("add_eos_token is on, which is not supported");
    if (flag("add_space_prefix", false)) fail("add_space_prefix is on, which is not supported");
  }

  Json tokenizer() const {
    Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
    json["added_tokens"] = Json::array();
    for (const int64_t id : added_) {
      Json token = Json::object();
      token["id"] = id;
      token.update(added_token(id));
      json["added_tokens"].push_back(std::move(token));
    }
    json["normalizer"] = family_.has_nfc ? Json{{"type", "NFC"}} : Json(nullptr);
    json["pre_tokenizer"] = pre_tokenizer(family_);
    json["post_processor"] = adds_bos_ ? bos_template(tokens_[*bos_], *bos_) : Json(nullptr);
    json["decoder"] = byte_level(true, true, true);
    json["model"] = model();
    return json;
  }

  Json tokenizer_config() const {
    Json json = Json::object();
    if (file_.has(kPrefix + "add_bos_token")) json["add_bos_token"] = adds_bos_;
    json["add_prefix_space"] = false;
    json["added_tokens_decoder"] = Json::object();
    for (const int64_t id : added_) json["added_tokens_decoder"][std::to_string(id)] = added_token(id);
    set_name(json, "bos_token", "bos_token_id");
    if (file_.has("tokenizer.chat_template")) json["chat_template"] = file_.string("tokenizer.chat_template");
    json["clean_up_tokenization_spaces"] = false;
    set_name(json, "eos_token", "eos_token_id");
    json["model_max_length"] = config_.max_positions;
    set_name(json, "pad_token", "padding_token_id");
    json["tokenizer_class"] = "PreTrainedTokenizerFast";
    set_name(json, "unk_token", "unknown_token_id");
    return json;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(cat(file_.path().string(), ": ", kPrefix, what));
  }

  static const Family& pick_family(const GgufFile& file) {
    const std::string where = file.path().string();
    const std::string& model = file.string(kPrefix + "model");
    if (model != "gpt2") {
      throw DataError(cat(where, ": tokenizer.ggml.model is ", quoted(model), ", want 'gpt2'; no other is supported"));
    }
    const std::string& name = file.string(kPrefix + "pre");
    std::vector<std::string> known;
    for (const Family& family : families()) {
      if (std::count(family.names.begin(), family.names.end(), name) > 0) return family;
      known.insert(known.end(), family.names.begin(), family.names.end());
    }
    throw DataError(cat(where, ": tokenizer.ggml.pre is ", quoted(name), ", want one of ", join(known, " "),
                        did_you_mean(name, known)));
  }

  bool flag(const char* key, bool otherwise) const {
    return file_.has(kPrefix + key) ? file_.boolean(kPrefix + key) : otherwise;
  }

  void check_tokens() const {
    if (static_cast<int64_t>(tokens_.size()) > config_.vocab_size) {
      fail(cat("tokens holds ", tokens_.size(), " tokens, the embedding has ", config_.vocab_size, " rows"));
    }
    std::unordered_set<std::string_view> seen;
    for (const std::string& token : tokens_) {
      if (!is_valid_utf8(token)) fail(cat("tokens holds ", quoted(token), ", which is not UTF-8"));
      if (!seen.insert(token).second) fail(cat("tokens holds ", quoted(token), " twice"));
    }
  }

  void read_types() {
    types_.assign(tokens_.size(), kNormal);
    if (file_.has(kPrefix + "token_type")) types_ = file_.integers(kPrefix + "token_type");
    if (types_.size() != tokens_.size()) fail(cat("token_type has ", types_.size(), " entries, want ", tokens_.size()));
    // Old files have no types; the tokens named by the metadata are control tokens all the same.
    for (const char* key : {"bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id", "padding_token_id"}) {
      const std::optional<int64_t> id = gguf_token_id(file_, kPrefix + key);
      if (id) types_[static_cast<size_t>(*id)] = kControl;
    }
    for (size_t i = 0; i < types_.size(); ++i) {
      const int64_t type = types_[i];
      if (type < kNormal || type > kByte || type == kByte) {
        fail(cat("token_type of ", quoted(tokens_[i]), " is ", type, ", want 1 to 5 for a byte-level vocabulary"));
      }
      const bool is_added = type == kControl || type == kUserDefined;
      if (is_added && tokens_[i].empty()) fail(cat("tokens: control token ", i, " is empty"));
      if (is_added) added_.push_back(static_cast<int64_t>(i));
    }
  }

  // The part that tokenizer.json and tokenizer_config.json share.
  Json added_token(int64_t id) const {
    Json json = Json::object();
    json["content"] = tokens_[static_cast<size_t>(id)];
    for (const char* key : {"single_word", "lstrip", "rstrip", "normalized"}) json[key] = false;
    json["special"] = types_[static_cast<size_t>(id)] == kControl;
    return json;
  }

  void set_name(Json& json, const char* name, const char* id_key) const {
    const std::optional<int64_t> id = gguf_token_id(file_, kPrefix + id_key);
    if (id) json[name] = tokens_[static_cast<size_t>(*id)];
  }

  Json model() const {
    Json json = {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr}};
    json["continuing_subword_prefix"] = nullptr;
    json["end_of_word_suffix"] = nullptr;
    json["fuse_unk"] = false;
    json["byte_fallback"] = false;
    json["ignore_merges"] = family_.ignore_merges;
    Json vocab = Json::object();
    std::unordered_set<std::string> known;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (types_[i] == kUnused) continue;                            // a row of the embedding without a token
      vocab.get_ref<Json::object_t&>().emplace_back(tokens_[i], i);  // no look-up among many
      known.insert(tokens_[i]);
    }
    json["vocab"] = std::move(vocab);
    json["merges"] = merges(known);
    return json;
  }

  Json merges(const std::unordered_set<std::string>& known) const {
    Json json = Json::array();
    for (const std::string& merge : file_.strings(kPrefix + "merges")) {
      const size_t space = merge.find(' ');
      const std::string left = merge.substr(0, space);
      const std::string right = space == std::string::npos ? "" : merge.substr(space + 1);
      if (!known.contains(left) || !known.contains(right) || !known.contains(left + right)) {
        fail(cat("merges holds ", quoted(merge), ", want two tokens that make a third, with a space between them"));
      }
      json.push_back(merge);
    }
    return json;
  }

  const GgufFile& file_;
  const HfConfig& config_;
  const Family& family_;
  const std::vector<std::string>& tokens_;
  std::vector<int64_t> types_;
  std::vector<int64_t> added_;  // ids
  std::optional<int64_t> bos_;
  bool adds_bos_ = false;
};

}  // namespace

GgufTokenizer gguf_tokenizer(const GgufFile& file, const HfConfig& config) {
  const TokenizerBuilder builder(file, config);
  return {dump_json(builder.tokenizer()), builder.tokenizer_config().dump(2) + "\n"};
}

}  // namespace noregret
