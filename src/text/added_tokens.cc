#include "text/added_tokens.h"

#include <algorithm>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "text/parts.h"
#include "text/vocabulary.h"

namespace noregret::text {
namespace {

constexpr size_t kMaxTokenBytes = 256;  // bounds the work at each place of a text

bool is_inside_word(std::string_view text, Span span) {
  return (span.begin > 0 && is_word(code_point_before(text, span.begin).value)) ||
         (span.end < text.size() && is_word(code_point_at(text, span.end).value));
}

size_t white_space_begin(std::string_view text, size_t end, size_t least) {
  while (end > least) {
    const CodePoint point = code_point_before(text, end);
    if (!is_white_space(point.value)) break;
    end -= point.num_bytes;
  }
  return end;
}

size_t white_space_end(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const CodePoint point = code_point_at(text, begin);
    if (!is_white_space(point.value)) break;
    begin += point.num_bytes;
  }
  return begin;
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const Json& document, const std::string& where) {
  std::vector<AddedToken> tokens;
  const auto list = document.find("added_tokens");
  if (list == document.end() || list->is_null()) return tokens;
  if (!list->is_array()) throw DataError(where + ": 'added_tokens' is no list");
  for (const Json& item : *list) {
    const std::string place = cat(where, ": added token ", tokens.size());
    AddedToken token;
    token.content = json_string(item, "content", place);
    token.id = read_id(json_at(item, "id", place), token.content, place);
    token.is_single_word = bool_or(item, "single_word", false, place);
    token.takes_left = bool_or(item, "lstrip", false, place);
    token.takes_right = bool_or(item, "rstrip", false, place);
    token.is_special = bool_or(item, "special", false, place);
    token.is_normalized = bool_or(item, "normalized", !token.is_special, place);
    if (token.content.empty() || token.content.size() > kMaxTokenBytes) {
      throw DataError(cat(place, ": content has ", token.content.size(), " bytes, want 1 to ", kMaxTokenBytes));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens, bool is_normalized,
                                   const Normalizer& normalizer)
    : token_at_(1, kNone), is_first_byte_(256, false) {
  // Of two tokens with one normal form the special one counts, then the first.
  for (const bool is_special : {true, false}) {
    for (const AddedToken& token : tokens) {
      if (token.is_normalized != is_normalized || token.is_special != is_special) continue;
      insert(is_normalized ? normalizer.apply(token.content) : token.content, token);
    }
  }
}

void AddedTokenFinder::insert(const std::string& pattern, AddedToken token) {
  int32_t node = 0;
  for (const char c : pattern) {
    const uint64_t edge = static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(c);
    const auto [child, is_new] = children_.try_emplace(edge, static_cast<int32_t>(token_at_.size()));
    if (is_new) token_at_.push_back(kNone);
    node = child->second;
  }
  if (token_at_[node] != kNone) return;
  token_at_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
  is_first_byte_[static_cast<unsigned char>(pattern.front())] = true;
}

std::pair<int32_t, size_t> AddedTokenFinder::longest_at(std::string_view text, size_t at) const {
  std::pair<int32_t, size_t> longest{kNone, 0};
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto child = children_.find(static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(text[i]));
    if (child == children_.end()) break;
    node = child->second;
    if (token_at_[node] != kNone) longest = {token_at_[node], i + 1 - at};
  }
  return longest;
}

std::vector<TextPart> AddedTokenFinder::split(std::string_view text, bool allow_special) const {
  std::vector<TextPart> parts;
  size_t begin = 0;  // of what is not in a part yet
  for (size_t at = 0; at < text.size();) {
    if (!is_first_byte_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    const auto [index, num_bytes] = longest_at(text, at);
    if (index == kNone) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[index];
    Span span{at, at + num_bytes};
    at = span.end;
    if (token.is_special && !allow_special) continue;
    if (token.is_single_word && is_inside_word(text, span)) continue;
    // A token that takes white space to its right may have taken part of this one: then both count.
    if (token.takes_left) span.begin = std::max(begin, white_space_begin(text, span.begin, begin));
    if (token.takes_right) span.end = white_space_end(text, span.end);
    if (begin < span.begin) parts.push_back({{begin, span.begin}, TextPart::kPlain});
    parts.push_back({span, token.id});
    begin = span.end;
  }
  if (begin < text.size()) parts.push_back({{begin, text.size()}, TextPart::kPlain});
  return parts;
}

}  // namespace noregret::text
