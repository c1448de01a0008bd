#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "noregret/base/json.h"
#include "text/normalizer.h"
#include "text/unicode.h"

namespace noregret::text {

// An entry of "added_tokens": a token that is cut out of the text before the model sees it.
struct AddedToken {
  int64_t id = 0;
  std::string content;
  bool is_single_word = false;  // not inside a word
  bool takes_left = false;      // with the white space before it
  bool takes_right = false;     // with the white space after it
  bool is_normalized = false;   // sought, in normal form, in the normalized text; else in the text as it is
  bool is_special = false;      // a control token
};

// Throws DataError on an entry without id or content, or content longer than any token needs.
std::vector<AddedToken> read_added_tokens(const Json& document, const std::string& where);

// A part of a text: plain, or an added token.
struct TextPart {
  static constexpr int64_t kPlain = -1;
  Span span;
  int64_t id = kPlain;
};

// Finds added tokens, the leftmost first, the longest of those that begin at one place.
class AddedTokenFinder {
 public:
  // Of the tokens, those whose `is_normalized` is as given.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, bool is_normalized, const Normalizer& normalizer);

  // The parts in order. A special token is plain text unless `allow_special`.
  std::vector<TextPart> split(std::string_view text, bool allow_special) const;

 private:
  static constexpr int32_t kNone = -1;

  void insert(const std::string& pattern, AddedToken token);
  // Index of the longest token that begins at `at` and its size, or {kNone, 0}.
  std::pair<int32_t, size_t> longest_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;
  // A tree of the patterns' bytes. Node 0 is the root.
  std::unordered_map<uint64_t, int32_t> children_;  // node << 8 | byte
  std::vector<int32_t> token_at_;                   // of each node: the token that ends there, or kNone
  std::vector<bool> is_first_byte_;
};

}  // namespace noregret::text
