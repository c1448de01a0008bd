#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace noregret {

// Text <-> ids as a Hugging Face tokenizer.json says (tokenizers 0.23). Thread-safe after load.
// Parts: formats.md-style list in the implementation; a part of another type is refused by name (DataError).
class Tokenizer {
 public:
  // Reads tokenizer.json and, where present, tokenizer_config.json (bos/eos/pad names, chat_template,
  // chat_template.jinja).
  static Tokenizer load(const std::filesystem::path& model_dir);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  struct EncodeOptions {
    bool allow_special = false;  // control tokens written in the text become their ids; else they are plain text
    bool add_bos = false;        // what the post-processor adds (Llama 3: BOS)
  };
  // `text` must be valid UTF-8 (DataError otherwise).
  std::vector<int64_t> encode(std::string_view text, const EncodeOptions& options) const;
  std::vector<int64_t> encode(std::string_view text) const { return encode(text, EncodeOptions{}); }

  // Invalid UTF-8 becomes U+FFFD, as tokenizers does. Throws DataError on an id outside the vocabulary.
  std::string decode(std::span<const int64_t> ids, bool skip_special = false) const;

  std::string normalize(std::string_view text) const;                // what decode(encode(text)) gives back
  std::optional<int64_t> token_to_id(std::string_view token) const;  // control tokens too
  std::string id_to_token(int64_t id) const;                         // as in tokenizer.json
  bool is_special(int64_t id) const;
  int64_t vocab_size() const;  // largest id + 1
  std::optional<int64_t> bos_id() const;
  std::optional<int64_t> eos_id() const;  // of tokenizer_config.json
  std::optional<int64_t> pad_id() const;
  const std::string& chat_template() const;  // Jinja source, "" when none
  const std::string& digest() const;         // SHA-256 of tokenizer.json

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace noregret
