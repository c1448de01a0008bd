#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "noregret/base/json.h"
#include "text/vocabulary.h"

namespace noregret::text {

// "model" of tokenizer.json: byte-pair encoding (Sennrich et al., ACL 2016) with ranked merges.
class Bpe {
 public:
  struct Merge {
    int32_t rank;
    int32_t id;  // of the joined token
  };

  // `is_special[id]`: ids that no text becomes; merges into them are left out.
  // Throws DataError on an option or a merge that is not supported.
  static Bpe parse(const Json& model, Vocabulary vocabulary, const std::vector<bool>& is_special,
                   const std::string& where);
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  friend class BpeEncoder;
  static constexpr int32_t kUnknown = -1;
  static constexpr size_t kNumQuick = 0x200;

  void read_options(const Json& model, const std::string& where);
  void read_merges(const Json& list, const std::string& where);
  void read_characters(const std::string& where);
  void find_whole_words();
  bool is_special(int64_t id) const { return static_cast<size_t>(id) < is_special_.size() && is_special_[id]; }
  int32_t id_of_character(std::string_view character) const;
  const Merge* find_merge(int32_t left, int32_t right) const;

  Vocabulary vocabulary_;
  std::vector<bool> is_special_;
  std::unordered_map<uint64_t, Merge> merges_;  // by left << 32 | right
  std::vector<int32_t> quick_ids_;              // of the code points below kNumQuick
  int32_t unknown_id_ = kUnknown;               // of unk_token
  bool fuses_unknown_ = false;
  bool ignores_merges_ = false;
  std::vector<bool> is_whole_;  // by id: a word that is this token becomes it, by its merges or by ignore_merges
};

// Encodes the words of one text: owns the memory that they share. For one thread.
class BpeEncoder {
 public:
  explicit BpeEncoder(const Bpe& bpe) : bpe_(bpe) {}

  // Appends the ids of a word in O(n log n). A character that is no token becomes unk_token's id; without one it is
  // left out, as the tokenizers library does.
  void encode(std::string_view word, std::vector<int64_t>& ids);

 private:
  friend class Bpe;
  struct Symbol {
    int32_t id;  // kGone: joined to the one before it
    int32_t previous;
    int32_t next;
  };
  struct Candidate {
    int32_t rank;
    int32_t at;  // index of the left symbol
    int32_t id;
  };
  static constexpr int32_t kGone = -2;

  void add_symbols(std::string_view word);
  void add_candidate(int32_t at);
  void join_symbols();
  void merge(std::string_view word, std::vector<int64_t>& ids);

  const Bpe& bpe_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
  StringMap<std::vector<int64_t>> known_words_;
};

}  // namespace noregret::text
