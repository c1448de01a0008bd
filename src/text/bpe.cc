#include "text/bpe.h"

#include <algorithm>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "text/byte_level.h"
#include "text/parts.h"
#include "text/unicode.h"

namespace noregret::text {
namespace {

constexpr size_t kMaxKnownWords = 1 << 16;
constexpr size_t kMaxKnownBytes = 64;  // of a word worth remembering

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

std::string option_text(const Json& model, const char* key, const std::string& where) {
  const auto found = model.find(key);
  return found == model.end() || found->is_null() ? "" : json_string(model, key, where);
}

void refuse(const Json& model, const char* key, const std::string& where) {
  const std::string value = option_text(model, key, where);
  if (!value.empty()) throw DataError(cat(where, ": ", key, " ", noregret::quoted(value), " is not supported"));
}

// A merge is ["a", "b"] or, in older files, "a b".
std::pair<std::string, std::string> read_merge(const Json& merge, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const std::string& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  throw DataError(where + " is neither [\"a\", \"b\"] nor \"a b\"");
}

// Order of a heap whose top is the merge of the lowest rank, the leftmost of equals.
constexpr auto kIsLater = [](const auto& a, const auto& b) { return a.rank != b.rank ? a.rank > b.rank : a.at > b.at; };

}  // namespace

Bpe Bpe::parse(const Json& model, Vocabulary vocabulary, const std::vector<bool>& is_special,
               const std::string& where) {
  Bpe bpe;
  bpe.vocabulary_ = std::move(vocabulary);
  bpe.is_special_ = is_special;
  bpe.read_options(model, where);
  bpe.read_merges(json_at(model, "merges", where), where);
  bpe.read_characters(where);
  bpe.find_whole_words();
  return bpe;
}

void Bpe::read_options(const Json& model, const std::string& where) {
  const auto dropout = model.find("dropout");
  if (dropout != model.end() && !dropout->is_null() && !(dropout->is_number() && dropout->get<double>() == 0.0)) {
    throw DataError(where + ": dropout is not supported, want null");
  }
  if (bool_or(model, "byte_fallback", false, where)) {
    throw DataError(where + ": byte_fallback is not supported, want false");
  }
  refuse(model, "continuing_subword_prefix", where);
  refuse(model, "end_of_word_suffix", where);
  const std::string unknown = option_text(model, "unk_token", where);
  if (!unknown.empty()) {
    const auto id = vocabulary_.find(unknown);
    if (!id) throw DataError(cat(where, ": unk_token ", noregret::quoted(unknown), " is not in the vocabulary"));
    unknown_id_ = static_cast<int32_t>(*id);
  }
  fuses_unknown_ = bool_or(model, "fuse_unk", false, where);
  ignores_merges_ = bool_or(model, "ignore_merges", false, where);
}

void Bpe::read_merges(const Json& list, const std::string& where) {
  if (!list.is_array()) throw DataError(where + ": 'merges' is no list");
  merges_.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = cat(where, ": merge ", i);
    const auto [left, right] = read_merge(list[i], place);
    const auto id_of = [&](const std::string& token) {
      const auto id = vocabulary_.find(token);
      if (!id) throw DataError(cat(place, " names ", noregret::quoted(token), ", which is not in the vocabulary"));
      return static_cast<int32_t>(*id);
    };
    const uint64_t key = pair_key(id_of(left), id_of(right));
    const int32_t joined = id_of(left + right);
    if (!is_special(joined)) merges_[key] = {static_cast<int32_t>(i), joined};
  }
}

void Bpe::read_characters(const std::string& where) {
  for (size_t i = 0; i < kNumQuick; ++i) {
    std::string character;
    if (i >= 0x80) character += static_cast<char>(0xc0 | (i >> 6));
    character += static_cast<char>(i < 0x80 ? i : 0x80 | (i & 0x3f));
    const auto id = vocabulary_.find(character);
    if (id && is_special(*id) && byte_of_symbol(static_cast<char32_t>(i))) {
      throw DataError(cat(where, ": special token ", noregret::quoted(character), " is also the sign of a byte"));
    }
    quick_ids_.push_back(id && !is_special(*id) ? static_cast<int32_t>(*id) : kUnknown);
  }
}

// Most words of a text are tokens whose merges lead to them: seen once here, they need no merging later.
void Bpe::find_whole_words() {
  is_whole_.resize(static_cast<size_t>(vocabulary_.size()));
  BpeEncoder encoder(*this);
  std::vector<int64_t> ids;
  for (int64_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string* token = vocabulary_.token(id);
    if (token == nullptr || is_special(id)) continue;
    ids.clear();
    if (!ignores_merges_) encoder.merge(*token, ids);
    is_whole_[static_cast<size_t>(id)] = ignores_merges_ || (ids.size() == 1 && ids[0] == id);
  }
}

int32_t Bpe::id_of_character(std::string_view character) const {
  const CodePoint point = code_point_at(character, 0);
  if (point.value < kNumQuick) return quick_ids_[point.value];
  const auto id = vocabulary_.find(character);
  return id && !is_special(*id) ? static_cast<int32_t>(*id) : kUnknown;
}

const Bpe::Merge* Bpe::find_merge(int32_t left, int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BpeEncoder::encode(std::string_view word, std::vector<int64_t>& ids) {
  if (const auto id = bpe_.vocabulary_.find(word); id && bpe_.is_whole_[static_cast<size_t>(*id)]) {
    ids.push_back(*id);
    return;
  }
  if (const auto known = known_words_.find(word); known != known_words_.end()) {
    ids.insert(ids.end(), known->second.begin(), known->second.end());
    return;
  }
  const auto num_before = static_cast<std::ptrdiff_t>(ids.size());
  merge(word, ids);
  if (word.size() <= kMaxKnownBytes && known_words_.size() < kMaxKnownWords) {
    known_words_.emplace(word, std::vector<int64_t>(ids.begin() + num_before, ids.end()));
  }
}

void BpeEncoder::merge(std::string_view word, std::vector<int64_t>& ids) {
  add_symbols(word);
  join_symbols();
  for (const Symbol& symbol : symbols_) {
    if (symbol.id != kGone) ids.push_back(symbol.id);
  }
}

void BpeEncoder::add_symbols(std::string_view word) {
  symbols_.clear();
  bool is_after_unknown = false;
  for (size_t at = 0; at < word.size();) {
    const size_t num_bytes = code_point_at(word, at).num_bytes;
    int32_t id = bpe_.id_of_character(word.substr(at, num_bytes));
    at += num_bytes;
    const bool is_unknown = id == Bpe::kUnknown;
    if (is_unknown) id = bpe_.unknown_id_;
    const bool is_fused = is_unknown && is_after_unknown && bpe_.fuses_unknown_;
    is_after_unknown = is_unknown;
    if (id == Bpe::kUnknown || is_fused) continue;
    const auto index = static_cast<int32_t>(symbols_.size());
    symbols_.push_back({id, index - 1, index + 1});
  }
}

void BpeEncoder::add_candidate(int32_t at) {
  if (at < 0 || symbols_[at].next >= static_cast<int32_t>(symbols_.size())) return;
  const Bpe::Merge* merge = bpe_.find_merge(symbols_[at].id, symbols_[symbols_[at].next].id);
  if (merge == nullptr) return;
  heap_.push_back({merge->rank, at, merge->id});
  std::push_heap(heap_.begin(), heap_.end(), kIsLater);
}

void BpeEncoder::join_symbols() {
  const auto size = static_cast<int32_t>(symbols_.size());
  heap_.clear();
  for (int32_t at = 0; at + 1 < size; ++at) add_candidate(at);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), kIsLater);
    const Candidate top = heap_.back();
    heap_.pop_back();
    Symbol& left = symbols_[top.at];
    if (left.id == kGone || left.next >= size) continue;
    Symbol& right = symbols_[left.next];
    const Bpe::Merge* merge = bpe_.find_merge(left.id, right.id);
    if (merge == nullptr || merge->id != top.id) continue;  // one of the two has been joined elsewhere since
    left.id = top.id;
    left.next = right.next;
    if (right.next < size) symbols_[right.next].previous = top.at;
    right.id = kGone;
    add_candidate(left.previous);
    add_candidate(top.at);
  }
}

}  // namespace noregret::text
