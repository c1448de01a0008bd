#include "noregret/text/tokenizer.h"

#include <algorithm>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_config.h"

namespace noregret {
namespace {

using namespace text;

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 28;
constexpr size_t kMaxTextBytes = size_t{1} << 30;  // indices of symbols have 32 bits

std::vector<bool> special_ids(const std::vector<AddedToken>& tokens) {
  std::vector<bool> is_special;
  for (const AddedToken& token : tokens) {
    if (!token.is_special) continue;
    if (static_cast<size_t>(token.id) >= is_special.size()) is_special.resize(static_cast<size_t>(token.id) + 1);
    is_special[static_cast<size_t>(token.id)] = true;
  }
  return is_special;
}

Bpe read_model(const Json& document, const std::vector<AddedToken>& added, const std::string& where) {
  const Json& model = json_at(document, "model", where);
  const std::string place = where + ": model";
  const bool is_untyped = !model.contains("type") && model.contains("merges");  // files of old versions
  if (!is_untyped && (!model.contains("type") || model["type"] != "BPE")) {
    const std::string type = model.contains("type") ? json_string(model, "type", place) : "";
    throw DataError(cat(where, ": model type ", noregret::quoted(type), " is not supported; known: BPE"));
  }
  return Bpe::parse(model, read_vocabulary(json_at(model, "vocab", place), place), special_ids(added), place);
}

}  // namespace

struct Tokenizer::Impl {
  Impl(const Json& document, const std::string& where)
      : added(read_added_tokens(document, where)),
        is_special(special_ids(added)),
        normalizer(Normalizer::parse(document, where)),
        before_normalizer(added, false, normalizer),
        after_normalizer(added, true, normalizer),
        pre_tokenizer(PreTokenizer::parse(document, where)),
        bpe(read_model(document, added, where)),
        decoder(Decoder::parse(document, where)),
        post_processor(PostProcessor::parse(document, where)) {
    for (const AddedToken& token : added) add(token, where);
    for (const auto* list : {&post_processor.before, &post_processor.after}) {
      for (const int64_t id : *list) {
        if (token(id) == nullptr)
          throw DataError(cat(where, ": post_processor adds the id ", id, ", which is no token"));
      }
    }
  }

  void add(const AddedToken& token, const std::string& where) {
    const std::string* in_model = bpe.vocabulary().token(token.id);
    const auto id_in_model = bpe.vocabulary().find(token.content);
    if ((in_model != nullptr && *in_model != token.content) || (id_in_model && *id_in_model != token.id)) {
      throw DataError(cat(where, ": added token ", noregret::quoted(token.content), " has the id ", token.id,
                          ", the model's vocabulary says otherwise"));
    }
    added_vocabulary.add(token.content, token.id, where);
    if (token.is_normalized) normal_forms[token.id] = normalizer.apply(token.content);
  }

  int64_t vocab_size() const { return std::max(bpe.vocabulary().size(), added_vocabulary.size()); }

  const std::string* token(int64_t id) const {
    const std::string* found = added_vocabulary.token(id);
    return found != nullptr ? found : bpe.vocabulary().token(id);
  }

  const std::string& known_token(int64_t id) const {
    const std::string* found = token(id);
    if (found == nullptr)
      throw DataError(cat("id ", id, " is no token; the tokenizer has ids 0 to ", vocab_size() - 1));
    return *found;
  }

  std::optional<int64_t> find(std::string_view token) const {
    const auto id = added_vocabulary.find(token);
    return id ? id : bpe.vocabulary().find(token);
  }

  bool is_special_id(int64_t id) const {
    return id >= 0 && id < static_cast<int64_t>(is_special.size()) && is_special[static_cast<size_t>(id)];
  }

  void encode_plain(std::string_view plain, bool allow_special, BpeEncoder& encoder, std::vector<int64_t>& ids) const {
    const std::string normal = normalizer.apply(plain);
    for (const TextPart& part : after_normalizer.split(normal, allow_special)) {
      if (part.id != TextPart::kPlain) {
        ids.push_back(part.id);
        continue;
      }
      const Words words = pre_tokenizer.split(std::string(part_of(normal, part.span)));
      for (const Span& word : words.spans) encoder.encode(part_of(words.text, word), ids);
    }
  }

  std::vector<AddedToken> added;
  std::vector<bool> is_special;  // by id, as far as special ones go
  Normalizer normalizer;
  AddedTokenFinder before_normalizer;
  AddedTokenFinder after_normalizer;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  Decoder decoder;
  PostProcessor post_processor;
  Vocabulary added_vocabulary;
  std::unordered_map<int64_t, std::string> normal_forms;  // of added tokens that are sought in normal form
  TokenizerConfig config;
  std::string digest;
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  const fs::path file = model_dir / "tokenizer.json";
  const std::string content = read_file(file, kMaxFileBytes);
  const Json document = parse_json(content, file.string());
  if (!document.is_object()) throw DataError(file.string() + ": is no object, want a Hugging Face tokenizer");
  auto impl = std::make_unique<Impl>(document, file.string());
  impl->digest = sha256_hex(content);
  impl->config = read_tokenizer_config(model_dir, [&](std::string_view token) { return impl->find(token); });
  return Tokenizer(std::move(impl));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kMaxTextBytes) {
    throw DataError(cat("a text of ", text.size(), " bytes is too long to tokenize, want at most ", kMaxTextBytes));
  }
  if (!is_valid_utf8(text)) {
    throw DataError(cat("text to tokenize is not UTF-8: ", noregret::quoted(text), "; save it as UTF-8"));
  }
  std::vector<int64_t> ids;
  if (options.add_bos) ids = impl_->post_processor.before;
  BpeEncoder encoder(impl_->bpe);
  for (const TextPart& part : impl_->before_normalizer.split(text, options.allow_special)) {
    if (part.id != TextPart::kPlain) {
      ids.push_back(part.id);
    } else {
      impl_->encode_plain(part_of(text, part.span), options.allow_special, encoder, ids);
    }
  }
  if (options.add_bos) {
    ids.insert(ids.end(), impl_->post_processor.after.begin(), impl_->post_processor.after.end());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    const std::string& token = impl_->known_token(id);
    if (skip_special && impl_->is_special_id(id)) continue;
    const auto normal = impl_->normal_forms.find(id);
    tokens.push_back(normal == impl_->normal_forms.end() ? token : normal->second);
  }
  return impl_->decoder.decode(tokens);
}

std::string Tokenizer::normalize(std::string_view text) const { return decode(encode(text)); }

std::optional<int64_t> Tokenizer::token_to_id(std::string_view token) const { return impl_->find(token); }

std::string Tokenizer::id_to_token(int64_t id) const { return impl_->known_token(id); }

bool Tokenizer::is_special(int64_t id) const { return impl_->is_special_id(id); }

int64_t Tokenizer::vocab_size() const { return impl_->vocab_size(); }

std::optional<int64_t> Tokenizer::bos_id() const { return impl_->config.bos_id; }

std::optional<int64_t> Tokenizer::eos_id() const { return impl_->config.eos_id; }

std::optional<int64_t> Tokenizer::pad_id() const { return impl_->config.pad_id; }

const std::string& Tokenizer::chat_template() const { return impl_->config.chat_template; }

const std::string& Tokenizer::digest() const { return impl_->digest; }

}  // namespace noregret
