#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace noregret::text {

// What a model folder says beside tokenizer.json.
struct TokenizerConfig {
  std::optional<int64_t> bos_id;
  std::optional<int64_t> eos_id;
  std::optional<int64_t> pad_id;
  std::string chat_template;  // Jinja source, "" when none
};

// Reads tokenizer_config.json and chat_template.jinja, which wins; either may be absent.
// Throws DataError on a name that is no token.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_dir,
                                      const std::function<std::optional<int64_t>(std::string_view)>& token_to_id);

}  // namespace noregret::text
