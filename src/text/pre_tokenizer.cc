#include "text/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "text/byte_level.h"
#include "text/parts.h"
#include "text/regex.h"

namespace noregret::text {
namespace {

// GPT-2's pattern: what ByteLevel splits by.
constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What becomes of the parts that a pattern matches.
enum class Behavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct NamedBehavior {
  const char* name;
  Behavior behavior;
};
constexpr std::array<NamedBehavior, 5> kBehaviors = {{{"Isolated", Behavior::kIsolated},
                                                      {"Removed", Behavior::kRemoved},
                                                      {"MergedWithPrevious", Behavior::kMergedWithPrevious},
                                                      {"MergedWithNext", Behavior::kMergedWithNext},
                                                      {"Contiguous", Behavior::kContiguous}}};

struct Piece {
  Span span;
  bool is_match;
};

// The whole of a word as pieces, matches and what lies between them.
void pieces_between(Span word, const std::vector<Span>& matches, bool is_inverted, std::vector<Piece>& pieces) {
  size_t from = word.begin;
  for (const Span& match : matches) {
    if (match.begin > from) pieces.push_back({{from, match.begin}, is_inverted});
    pieces.push_back({match, !is_inverted});
    from = match.end;
  }
  if (word.end > from) pieces.push_back({{from, word.end}, is_inverted});
}

// Whether two neighbours become one word. A match joins a neighbour that is no match, or has joined one already.
bool joins(const Piece& left, const Piece& right, Behavior behavior) {
  switch (behavior) {
    case Behavior::kMergedWithPrevious:
      return right.is_match && !left.is_match;
    case Behavior::kMergedWithNext:
      return left.is_match && !right.is_match;
    case Behavior::kContiguous:
      return left.is_match == right.is_match;
    default:
      return false;
  }
}

void append_words(const std::vector<Piece>& pieces, Behavior behavior, std::vector<Span>& words) {
  for (size_t i = 0; i < pieces.size();) {
    Span word = pieces[i].span;
    size_t next = i + 1;
    while (next < pieces.size() && joins(pieces[next - 1], pieces[next], behavior)) word.end = pieces[next++].span.end;
    const bool is_dropped = behavior == Behavior::kRemoved && pieces[i].is_match;
    if (!is_dropped && word.size() > 0) words.push_back(word);
    i = next;
  }
}

class Split : public PreTokenizer::Step {
 public:
  Split(Regex regex, Behavior behavior, bool is_inverted)
      : regex_(std::move(regex)), behavior_(behavior), is_inverted_(is_inverted) {}

  void apply(Words& words) const override {
    RegexSearch search(regex_);
    std::vector<Span> cut;
    std::vector<Span> matches;
    std::vector<Piece> pieces;
    for (const Span& word : words.spans) {
      matches.clear();
      pieces.clear();
      search.find_all(part_of(words.text, word), matches);
      for (Span& match : matches) match = {word.begin + match.begin, word.begin + match.end};
      pieces_between(word, matches, is_inverted_, pieces);
      append_words(pieces, behavior_, cut);
    }
    words.spans = std::move(cut);
  }

 private:
  Regex regex_;
  Behavior behavior_;
  bool is_inverted_;
};

class Digits : public PreTokenizer::Step {
 public:
  explicit Digits(bool is_individual) : behavior_(is_individual ? Behavior::kIsolated : Behavior::kContiguous) {}

  void apply(Words& words) const override {
    std::vector<Span> cut;
    std::vector<Span> matches;
    std::vector<Piece> pieces;
    for (const Span& word : words.spans) {
      matches.clear();
      pieces.clear();
      for (size_t at = word.begin; at < word.end;) {
        const CodePoint point = code_point_at(words.text, at);
        if (is_numeric(point.value)) matches.push_back({at, at + point.num_bytes});
        at += point.num_bytes;
      }
      pieces_between(word, matches, false, pieces);
      append_words(pieces, behavior_, cut);
    }
    words.spans = std::move(cut);
  }

 private:
  Behavior behavior_;
};

class ByteLevel : public PreTokenizer::Step {
 public:
  ByteLevel(bool adds_space, std::optional<Split> split) : adds_space_(adds_space), split_(std::move(split)) {}

  void apply(Words& words) const override {
    if (adds_space_) add_spaces(words);
    if (split_) split_->apply(words);
    Words symbols;
    symbols.text.reserve(words.text.size() + words.text.size() / 4);
    symbols.spans.reserve(words.spans.size());
    for (const Span& word : words.spans) {
      const size_t begin = symbols.text.size();
      append_byte_symbols(part_of(words.text, word), symbols.text);
      symbols.spans.push_back({begin, symbols.text.size()});
    }
    words = std::move(symbols);
  }

 private:
  static void add_spaces(Words& words) {
    Words spaced;
    for (const Span& word : words.spans) {
      const size_t begin = spaced.text.size();
      if (words.text[word.begin] != ' ') spaced.text += ' ';
      spaced.text += part_of(words.text, word);
      spaced.spans.push_back({begin, spaced.text.size()});
    }
    words = std::move(spaced);
  }

  bool adds_space_;
  std::optional<Split> split_;
};

// A pattern that matches the text alone.
std::string escaped(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view(R"(\.+*?()|[]{}^$#&-~)").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

Behavior read_behavior(const Json& json, const std::string& where) {
  const std::string name = json_string(json, "behavior", where);
  std::vector<std::string> known;
  for (const NamedBehavior& row : kBehaviors) {
    if (name == row.name) return row.behavior;
    known.emplace_back(row.name);
  }
  throw DataError(
      cat(where, ": Split behavior ", noregret::quoted(name), " is not supported; known: ", join(known, ", ")));
}

std::unique_ptr<Split> read_split(const Json& json, const std::string& where) {
  const Json& pattern = json_at(json, "pattern", where);
  const bool is_text = pattern.is_object() && pattern.contains("String");
  std::string source = json_string(pattern, is_text ? "String" : "Regex", where);
  if (source.empty()) throw DataError(where + ": Split has an empty pattern, want a text to split by");
  return std::make_unique<Split>(Regex(is_text ? escaped(source) : std::move(source), where),
                                 read_behavior(json, where), bool_or(json, "invert", false, where));
}

std::unique_ptr<ByteLevel> read_byte_level(const Json& json, const std::string& where) {
  std::optional<Split> split;
  if (bool_or(json, "use_regex", true, where)) split.emplace(Regex(kGpt2Pattern, where), Behavior::kIsolated, false);
  return std::make_unique<ByteLevel>(bool_or(json, "add_prefix_space", true, where), std::move(split));
}

}  // namespace

PreTokenizer PreTokenizer::parse(const Json& document, const std::string& file) {
  static const PartKind kKind{"pre_tokenizer", "pretokenizers", {"Split", "Digits", "ByteLevel"}};
  const std::string where = file + ": pre_tokenizer";
  PreTokenizer pre_tokenizer;
  for (const Part& part : parts_of(document, kKind, file)) {
    if (part.type == "Split") {
      pre_tokenizer.steps_.push_back(read_split(*part.json, where));
    } else if (part.type == "Digits") {
      pre_tokenizer.steps_.push_back(std::make_unique<Digits>(bool_or(*part.json, "individual_digits", false, where)));
    } else {
      pre_tokenizer.steps_.push_back(read_byte_level(*part.json, where));
    }
  }
  return pre_tokenizer;
}

Words PreTokenizer::split(std::string text) const {
  Words words{std::move(text), {}};
  if (!words.text.empty()) words.spans.push_back({0, words.text.size()});
  for (const auto& step : steps_) step->apply(words);
  return words;
}

}  // namespace noregret::text
