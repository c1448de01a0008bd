#include "noregret/grade/parse.h"

#include <algorithm>
#include <array>

#include "grade/parser.h"
#include "grade/scan.h"
#include "noregret/grade/number.h"

namespace noregret::math {
namespace {

using scan::is_digit;
using scan::is_letter;
using scan::trim;

constexpr auto kWrappers = std::to_array<std::string_view>(
    {"\\text{", "\\textbf{", "\\mbox{", "\\textrm{", "\\textit{", "\\textnormal{", "\\mathrm{", "\\mathbf{", "\\rm{"});

// Where the brace that opened before `begin` closes, or npos.
size_t closing_brace(std::string_view text, size_t begin) {
  int depth = 1;
  for (size_t pos = begin; pos < text.size(); ++pos) {
    if (text[pos] == '\\') {
      ++pos;
      continue;
    }
    depth += text[pos] == '{' ? 1 : text[pos] == '}' ? -1 : 0;
    if (depth == 0) return pos;
  }
  return std::string_view::npos;
}

// The content where one command with braces is all of the text.
bool unwrap(std::string_view& text, std::string_view command) {
  if (!text.starts_with(command) || closing_brace(text, command.size()) != text.size() - 1) return false;
  text = trim(text.substr(command.size(), text.size() - 1 - command.size()));
  return true;
}

bool strip_pair(std::string_view& text, std::string_view open, std::string_view close) {
  if (text.size() < open.size() + close.size() || !text.starts_with(open) || !text.ends_with(close)) return false;
  const std::string_view inside = text.substr(open.size(), text.size() - open.size() - close.size());
  if (inside.find(open) != std::string_view::npos || inside.find(close) != std::string_view::npos) return false;
  text = trim(inside);
  return true;
}

bool strip_end(std::string_view& text) {
  for (const std::string_view space : {"\\,", "\\;", "\\!", "\\ "}) {
    if (!text.ends_with(space)) continue;
    text.remove_suffix(space.size());
    text = scan::trim_end(text);
    return true;
  }
  if (text.empty() || text.ends_with("\\.")) return false;
  const bool is_stop = std::string_view(".:").find(text.back()) != std::string_view::npos;
  const bool is_break = text.back() == '\\' && !text.ends_with("\\\\");
  if (!is_stop && !is_break) {
    if (!text.ends_with("\\\\")) return false;
    text.remove_suffix(1);
  }
  text.remove_suffix(1);
  text = scan::trim_end(text);
  return true;
}

std::string_view without_noise(std::string_view text) {
  text = trim(text);
  for (bool again = true; again && !text.empty();) {
    again = strip_end(text);
    for (const std::string_view mark : {"**", "`", "\"", "$$", "$", "*"}) again = again || strip_pair(text, mark, mark);
    again = again || strip_pair(text, "\\(", "\\)") || strip_pair(text, "\\[", "\\]");
    again = again || unwrap(text, "\\boxed{") || unwrap(text, "\\fbox{") || unwrap(text, "\\boxed {");
    if (text.starts_with(": ")) text = trim(text.substr(1));
  }
  return text;
}

// Words without their wrappers, or "" where something else than words is there.
std::string words_of(std::string_view text, bool& is_wrapped) {
  std::string words;
  size_t num_outside = 0;
  int depth = 0;
  for (size_t pos = 0; pos < text.size();) {
    const std::string_view rest = text.substr(pos);
    const std::string_view wrapper = scan::leading(rest, kWrappers);
    if (!wrapper.empty()) {
      ++depth;
      pos += wrapper.size();
      continue;
    }
    const char c = text[pos++];
    if (c == '}' && depth > 0) {
      --depth;
    } else if (is_letter(c)) {
      words += c;
      num_outside += depth == 0;
    } else if (std::string_view(" .,'()-\n\x01\x02").find(c) != std::string_view::npos) {
      words += c == '\x01' ? ',' : c == '\x02' || c == '\n' ? ' ' : c;
    } else {
      return "";
    }
  }
  is_wrapped = num_outside == 0;
  return depth == 0 ? words : "";
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t pos = 0; pos < text.size();) {
    if (!is_letter(text[pos])) {
      ++pos;
      continue;
    }
    size_t end = pos;
    while (end < text.size() && is_letter(text[end])) ++end;
    words.emplace_back(text.substr(pos, end - pos));
    pos = end;
  }
  return words;
}

constexpr auto kShortWords =
    std::to_array<std::string_view>({"am", "as", "at", "be", "by", "do", "go", "he", "if", "in", "is",
                                     "it", "me", "my", "no", "of", "on", "so", "to", "up", "us", "we"});

bool is_word(std::string word) {
  if (word.size() > 6) return true;
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (word.size() == 2) return std::find(kShortWords.begin(), kShortWords.end(), word) != kShortWords.end();
  return word.size() > 2 && word.find_first_of("eiou") != std::string::npos;
}

// A hyphen stands between letters, before a word: x-axis. Elsewhere it is a minus, and -ai is no word.
bool has_minus(std::string_view text) {
  for (size_t pos = text.find('-'); pos != std::string_view::npos; pos = text.find('-', pos + 1)) {
    size_t end = pos + 1;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (pos == 0 || !is_letter(text[pos - 1]) || end - pos < 4) return true;
  }
  return false;
}

bool is_language(std::string_view text, bool is_wrapped) {
  const std::vector<std::string> words = split_words(text);
  if (words.empty() || has_minus(text)) return false;
  bool has_word = is_wrapped;
  for (const std::string& word : words) {
    if (!is_wrapped && (is_function_name(word) || word == "pi" || word == "infinity")) return false;
    has_word = has_word || (word != "or" && is_word(word));
  }
  return has_word;
}

// "A, C and F" as a list of words; one word or phrase as itself.
Expr text_of(std::string_view text) {
  std::vector<Expr> items;
  std::string separated;
  for (size_t pos = 0; pos < text.size(); ++pos) {
    const std::string_view rest = text.substr(pos);
    const bool at_word = pos > 0 && !is_letter(text[pos - 1]);
    const size_t size = at_word && rest.starts_with("and ") ? 4 : at_word && rest.starts_with("or ") ? 3 : 0;
    separated += size > 0 ? ',' : text[pos];
    pos += size > 0 ? size - 1 : 0;
  }
  for (size_t begin = 0; begin <= separated.size();) {
    const size_t end = std::min(separated.find(',', begin), separated.size());
    const std::string words = plain_words(std::string_view(separated).substr(begin, end - begin));
    if (!words.empty()) items.push_back(make(Kind::kText, words));
    begin = end + 1;
  }
  if (items.size() == 1) return items[0];
  return make(Kind::kList, ",", std::move(items));
}

bool is_nothing(std::string_view words) {
  return words == "nan" || words == "none" || words == "null" || words.empty();
}

// A phrase with numbers, as a date, is compared as it stands.
bool is_phrase(std::string_view text) {
  const std::vector<std::string> words = split_words(text);
  const bool has_word =
      std::any_of(words.begin(), words.end(), [](const std::string& word) { return word.size() >= 3; }) ||
      text.ends_with("a.m.") || text.ends_with("p.m.") || text.ends_with("a.m") || text.ends_with("p.m");
  return has_word && std::all_of(text.begin(), text.end(), [](char c) {
           return is_letter(c) || is_digit(c) || std::string_view(" ,-'.:").find(c) != std::string_view::npos;
         });
}

std::string as_phrase(std::string_view text) {
  std::string phrase;
  for (const char c : text) {
    const bool is_space = c == ' ';
    if (is_space && (phrase.empty() || phrase.back() == ' ')) continue;
    phrase += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return "phrase " + phrase;
}

Parsed parse_cleaned(std::string_view text, Commas commas) {
  bool is_wrapped = false;
  const std::string words = words_of(text, is_wrapped);
  if (!words.empty() && is_nothing(plain_words(words))) return {Parsed::Status::kUnparsable, {}, "no value"};
  if (is_language(words, is_wrapped)) {
    Expr expr = text_of(words);
    return {Parsed::Status::kOk, std::move(expr), ""};
  }
  for (const std::string_view wrapper : kWrappers) {
    if (unwrap(text, wrapper)) return parse_cleaned(text, commas);
  }
  try {
    Parser parser(tokenize(text, commas == Commas::kGroupThousands));
    return {Parsed::Status::kOk, parser.parse_all(), ""};
  } catch (const ParseFailure& failure) {
    if (failure.is_over_cap) return {Parsed::Status::kOverCap, {}, failure.why};
    if (is_phrase(text)) return {Parsed::Status::kOk, make(Kind::kText, as_phrase(text)), ""};
    return {Parsed::Status::kUnparsable, {}, failure.why};
  }
}

}  // namespace

std::string plain_words(std::string_view text) {
  std::string words;
  for (const std::string& word : split_words(text)) words += (words.empty() ? "" : " ") + word;
  if (words.size() == 1) return words;
  for (char& c : words) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return words;
}

Parsed parse_answer(std::string_view answer, Commas commas) {
  const std::string_view bare = without_noise(answer);
  if (bare.empty()) return {Parsed::Status::kEmpty, {}, "no answer"};
  if (bare.back() == ',' || bare.back() == ';') return {Parsed::Status::kUnparsable, {}, "a list that is cut"};
  if (bare.size() > kMaxAnswerBytes) return {Parsed::Status::kOverCap, {}, "more than 512 bytes"};
  const std::string cleaned = clean(bare);
  const std::string_view text = trim(cleaned);
  if (text.empty()) return {Parsed::Status::kEmpty, {}, "no answer"};
  return parse_cleaned(text, commas);
}

}  // namespace noregret::math
