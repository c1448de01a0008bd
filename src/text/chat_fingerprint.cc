#include "text/chat_fingerprint.h"

#include <algorithm>
#include <vector>

#include "noregret/base/file.h"

namespace noregret::text {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

bool is_name_character(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         static_cast<unsigned char>(c) >= 0x80;
}

struct Word {
  std::string text;
  bool is_literal = false;
};

// The literal that begins at `at` (a quote), its escapes undone; moves `at` behind it.
std::string read_literal(std::string_view code, size_t& at) {
  const char quote = code[at++];
  std::string text;
  while (at < code.size() && code[at] != quote) {
    if (code[at] != '\\' || at + 1 == code.size()) {
      text += code[at++];
      continue;
    }
    const char escaped = code[at + 1];
    at += 2;
    if (escaped == 'n') {
      text += '\n';
    } else if (escaped == 't') {
      text += '\t';
    } else if (escaped == '\\' || escaped == '\'' || escaped == '"') {
      text += escaped;
    } else {
      text += {'\\', escaped};
    }
  }
  ++at;
  return text;
}

// The words of a tag; `.name` becomes ['name'].
std::vector<Word> words_of(std::string_view code) {
  std::vector<Word> words;
  for (size_t at = 0; at < code.size();) {
    const char c = code[at];
    if (kBlanks.find(c) != std::string_view::npos) {
      ++at;
    } else if (c == '\'' || c == '"') {
      words.push_back({read_literal(code, at), true});
    } else if (is_name_character(c)) {
      const size_t begin = at;
      while (at < code.size() && is_name_character(code[at])) ++at;
      const std::string name(code.substr(begin, at - begin));
      if (!words.empty() && words.back().text == "." && !words.back().is_literal) {
        words.back() = {"[", false};
        words.push_back({name, true});
        words.push_back({"]", false});
      } else {
        words.push_back({name, false});
      }
    } else {
      words.push_back({std::string(1, c), false});
      ++at;
    }
  }
  return words;
}

std::string spelled_literal(std::string_view text) {
  std::string spelled = "'";
  for (const char c : text) {
    if (c == '\\' || c == '\'') spelled += '\\';
    spelled += c == '\n' ? "\\n" : std::string(1, c);
  }
  return spelled + "'";
}

std::string spelled(const Word& word) { return word.is_literal ? spelled_literal(word.text) : word.text; }

// Collects the canonical form: a line of words for each block tag and printed expression, printed text between quotes.
class Canon {
 public:
  void print_text(std::string_view text) { text_ += text; }

  void print_expression(std::string_view code) {
    std::vector<Word> operand;
    int depth = 0;
    for (const Word& word : words_of(code)) {
      const char c = word.is_literal || word.text.size() != 1 ? '\0' : word.text[0];
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
      if (c == '+' && depth == 0) {
        print_operand(operand);
      } else {
        operand.push_back(word);
      }
    }
    print_operand(operand);
  }

  void add_block(std::string_view code) {
    flush_text();
    form_ += "%";
    for (const Word& word : words_of(code)) form_ += " " + spelled(word);
    form_ += "\n";
  }

  std::string take() {
    flush_text();
    return std::move(form_);
  }

 private:
  void print_operand(std::vector<Word>& operand) {
    if (operand.size() == 1 && operand[0].is_literal) {
      print_text(operand[0].text);
    } else {
      flush_text();
      form_ += "=";
      for (const Word& word : operand) form_ += " " + spelled(word);
      form_ += "\n";
    }
    operand.clear();
  }

  void flush_text() {
    if (!text_.empty()) form_ += spelled_literal(text_) + "\n";
    text_.clear();
  }

  std::string form_;
  std::string text_;
};

// The text before a tag, without the white space that the tag takes: all of it before a minus, blanks at the begin of
// the line before a block or a comment.
std::string_view text_before(std::string_view text, bool is_at_line_begin, bool is_block, bool has_minus) {
  const size_t last = text.find_last_not_of(has_minus ? kBlanks : kBlanks.substr(0, 2));
  const std::string_view rest = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
  if (has_minus) return rest;
  return is_block && (rest.empty() ? is_at_line_begin : rest.back() == '\n') ? rest : text;
}

std::string_view tag_end(char kind) { return kind == '%' ? "%}" : kind == '{' ? "}}" : "#}"; }

// The place of the tag's end; quotes hide one.
size_t find_tag_end(std::string_view source, size_t from, char kind) {
  for (size_t at = from; at < source.size();) {
    if (source.substr(at, 2) == tag_end(kind)) return at;
    if (kind != '#' && (source[at] == '\'' || source[at] == '"')) {
      read_literal(source, at);
    } else {
      ++at;
    }
  }
  return std::string_view::npos;
}

struct Tag {
  size_t begin = std::string_view::npos;
  size_t end = std::string_view::npos;
  char kind = '\0';  // '%', '{' or '#'
};

// The first whole tag from `at` on; `begin` is npos when there is none.
Tag find_tag(std::string_view source, size_t at) {
  for (; at + 1 < source.size(); ++at) {
    const char kind = source[at + 1];
    if (source[at] != '{' || (kind != '%' && kind != '{' && kind != '#')) continue;
    const size_t end = find_tag_end(source, at + 2, kind);
    return end == std::string_view::npos ? Tag{} : Tag{at, end + 2, kind};
  }
  return {};
}

}  // namespace

std::string canonical_template(std::string_view source) {
  if (!source.empty() && source.back() == '\n') source.remove_suffix(1);  // Jinja drops one
  Canon canon;
  for (size_t at = 0;;) {
    const Tag tag = find_tag(source, at);
    if (tag.begin == std::string_view::npos) {
      canon.print_text(source.substr(at));
      return canon.take();
    }
    std::string_view code = source.substr(tag.begin + 2, tag.end - tag.begin - 4);
    const bool takes_before = !code.empty() && code.front() == '-';
    const bool takes_after = code.size() > 1 && code.back() == '-';
    const bool is_at_line_begin = at == 0 || source[at - 1] == '\n';
    const bool is_block = tag.kind != '{';
    canon.print_text(text_before(source.substr(at, tag.begin - at), is_at_line_begin, is_block, takes_before));
    if (takes_before) code.remove_prefix(1);
    if (takes_after) code.remove_suffix(1);
    if (tag.kind == '%') canon.add_block(code);
    if (tag.kind == '{') canon.print_expression(code);
    at = tag.end;
    if (takes_after) {
      at = std::min(source.find_first_not_of(kBlanks, at), source.size());
    } else if (is_block && source.substr(at, 1) == "\n") {
      ++at;
    }
  }
}

std::string template_fingerprint(std::string_view source) {
  return sha256_hex(canonical_template(source)).substr(0, 16);
}

}  // namespace noregret::text
