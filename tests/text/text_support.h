#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/json.h"
#include "noregret/text/tokenizer.h"
#include "text/byte_level.h"

namespace noregret {

using Ids = std::vector<int64_t>;

inline fs::path golden_dir() { return fs::path(NOREGRET_SOURCE_DIR) / "tests/golden/text"; }

inline Json golden_json(const std::string& name) {
  const fs::path path = golden_dir() / name;
  return parse_json(read_file(path), path.string());
}

// The sign of a byte in a byte-level vocabulary.
inline std::string sign_of(char byte) {
  std::string sign;
  text::append_byte_symbols(std::string_view(&byte, 1), sign);
  return sign;
}

inline Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

// A tokenizer.json whose ids 0 to 255 are the bytes; no merges, no added tokens.
inline Json byte_document() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[sign_of(static_cast<char>(byte))] = byte;
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level(false)},
          {"post_processor", nullptr},
          {"decoder", byte_level(false)},
          {"model", {{"type", "BPE"}, {"unk_token", nullptr}, {"vocab", vocab}, {"merges", Json::array()}}}};
}

inline void add_merge(Json& document, const std::string& left, const std::string& right) {
  Json& model = document["model"];
  if (!model["vocab"].contains(left + right))
    model["vocab"][left + right] = static_cast<int64_t>(model["vocab"].size());
  model["merges"].push_back({left, right});
}

inline void add_token(Json& document, const std::string& content, int64_t id, const Json& flags = Json::object()) {
  Json token = {{"id", id}, {"content", content}, {"normalized", false}};
  token.update(flags);
  document["added_tokens"].push_back(token);
}

// A model folder of its own for each test.
class ModelFolder : public testing::Test {
 protected:
  ModelFolder() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ =
        fs::path(testing::TempDir()) / (std::string("noregret_text_") + info->test_suite_name() + "_" + info->name());
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  ~ModelFolder() override { fs::remove_all(dir_); }

  void write(const std::string& name, const std::string& content) const { write_file_atomic(dir_ / name, content); }

  Tokenizer load(const Json& document) const {
    write("tokenizer.json", dump_json(document));
    return Tokenizer::load(dir_);
  }

  // What load() says is wrong.
  std::string error_of(const Json& document) const {
    try {
      load(document);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  }

  fs::path dir_;
};

}  // namespace noregret
