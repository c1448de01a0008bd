#include "grade/lexer.h"

#include <algorithm>
#include <array>

#include "grade/scan.h"

namespace noregret::math {
namespace {

using scan::is_digit;
using scan::is_letter;

constexpr size_t kMaxTokens = 256;
constexpr size_t kMaxLiteralDigits = 1000;

constexpr auto kTextCommands = std::to_array<std::string_view>(
    {"mathrm", "mbox", "operatorname", "rm", "text", "textbf", "textit", "textnormal", "textrm", "textsf", "texttt"});
// A letter that is set in another face is the same letter.
constexpr auto kFaceCommands = std::to_array<std::string_view>({"mathbf", "boldsymbol", "mathit", "mathsf", "bm"});
constexpr auto kPlainNames = std::to_array<std::string_view>(
    {"pi", "inf", "infty", "infinity", "or", "and", "alpha", "beta", "theta", "lambda", "phi"});

template <size_t kSize>
bool contains(const std::array<std::string_view, kSize>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Letters written together are a product where they look like variables: no word of three letters and more lacks both
// vowels and sense. "abc", "xyz" and "ax" are; "apples" and "mph" are not.
bool is_product_of_letters(std::string_view word) {
  if (word.size() <= 3) return true;
  return word.size() <= 6 && word.find_first_of("eiouEIOU") == std::string_view::npos;
}

class Lexer {
 public:
  Lexer(std::string_view text, bool commas_group) : text_(text), commas_group_(commas_group) {}

  std::vector<Token> run() {
    scan_all();
    tokens_.push_back({Token::Kind::kEnd, "", has_space_});
    return std::move(tokens_);
  }

 private:
  char at(size_t pos) const { return pos < text_.size() ? text_[pos] : '\0'; }
  size_t digits_at(size_t pos) const {
    size_t end = pos;
    while (end < text_.size() && is_digit(text_[end])) ++end;
    return end - pos;
  }

  void scan_all() {
    while (true) {
      skip_space();
      if (pos_ >= text_.size()) break;
      const char c = text_[pos_];
      if (is_digit(c) || (c == '.' && is_digit(at(pos_ + 1)))) {
        number();
      } else if (is_letter(c)) {
        letters();
      } else if (c == '\\') {
        command();
      } else {
        sign();
      }
    }
  }

  void skip_space() {
    while (pos_ < text_.size() && (text_[pos_] == ' ' || text_[pos_] == '\x02')) {
      has_space_ = true;
      ++pos_;
    }
  }

  void put(Token::Kind kind, std::string_view text) {
    if (tokens_.size() >= kMaxTokens) throw ParseFailure{true, "more than 256 tokens"};
    tokens_.push_back({kind, std::string(text), has_space_});
    has_space_ = false;
  }

  // Digits after a separator of thousands, or 0. The mark that is surely one may be followed by spaces.
  size_t group_at(size_t pos, char separator) const {
    if (at(pos) != separator) return 0;
    size_t begin = pos + 1;
    while (separator == '\x01' && at(begin) == ' ') ++begin;
    return digits_at(begin) == 3 ? begin : 0;
  }

  std::string integer_part() {
    const size_t first = digits_at(pos_);
    std::string digits(text_.substr(pos_, first));
    pos_ += first;
    const char separator = at(pos_);
    const bool may_group = first >= 1 && first <= 3 && digits[0] != '0' &&
                           (separator == '\x01' || separator == '\x02' || separator == ' ' ||
                            (separator == ',' && commas_group_ && depth_ == 0));
    if (!may_group) return digits;
    std::string grouped = digits;
    size_t pos = pos_;
    while (const size_t begin = group_at(pos, separator)) {
      grouped += text_.substr(begin, 3);
      pos = begin + 3;
    }
    // "1,234,5" and "1 234 5" are lists, whatever their beginning looks like
    const bool is_cut = at(pos) == separator && is_digit(at(pos + 1));
    if (pos == pos_ || is_cut) return digits;
    pos_ = pos;
    return grouped;
  }

  void number() {
    std::string digits = integer_part();
    std::string fraction;
    if (at(pos_) == '.' && digits_at(pos_ + 1) > 0) {
      const size_t size = digits_at(pos_ + 1);
      fraction = text_.substr(pos_ + 1, size);
      pos_ += 1 + size;
    }
    std::string repeating;
    const bool is_open = at(pos_) == '.' || !fraction.empty();
    for (const std::string_view bar : {"\\overline{", "\\bar{"}) {
      const size_t begin = pos_ + (fraction.empty() ? 1 : 0);
      if (!is_open || !text_.substr(std::min(begin, text_.size())).starts_with(bar)) continue;
      const size_t size = digits_at(begin + bar.size());
      if (size == 0 || at(begin + bar.size() + size) != '}') continue;
      repeating = text_.substr(begin + bar.size(), size);
      pos_ = begin + bar.size() + size + 1;
    }
    if (digits.size() + fraction.size() + repeating.size() > kMaxLiteralDigits) {
      throw ParseFailure{true, "a number of more than 1000 digits"};
    }
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
    std::string value = digits.empty() ? "0" : digits;
    if (!fraction.empty() || !repeating.empty()) value += "." + fraction;
    if (!repeating.empty()) value += "(" + repeating + ")";
    put(Token::Kind::kNumber, value);
    exponent();
  }

  void exponent() {
    if (at(pos_) != 'e' && at(pos_) != 'E') return;
    size_t begin = pos_ + 1;
    std::string text;
    if (at(begin) == '-' || at(begin) == '+') {
      if (at(begin) == '-') text = "-";
      ++begin;
    }
    const size_t size = digits_at(begin);
    if (size == 0 || size > 6 || is_letter(at(begin + size))) return;
    tokens_.back().is_exponent = true;
    tokens_.back().exponent = text + std::string(text_.substr(begin, size));
    pos_ = begin + size;
  }

  void letters() {
    size_t end = pos_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const std::string_view word = text_.substr(pos_, end - pos_);
    const bool is_mark = word == "bar" && at(end) == '{';
    const bool is_name = word.size() >= 2 && (is_function_name(word) || contains(kPlainNames, word) ||
                                              (is_unit_word(word) && follows_value()));
    if (is_name || is_mark || !is_product_of_letters(word)) {
      put(Token::Kind::kWord, word);
    } else {
      for (const char letter : word) put(Token::Kind::kLetter, {&letter, 1});
    }
    pos_ = end;
  }

  bool follows_value() const {
    if (tokens_.empty()) return false;
    const Token& last = tokens_.back();
    return last.kind == Token::Kind::kNumber || last.kind == Token::Kind::kWord || last.is_sign("}") ||
           last.is_sign(")") || last.is_sign("%") || last.is_sign("/") || last.is_command("pi");
  }

  // The bytes in {...} after the position, which moves behind it; or the one letter or command there.
  std::string_view braces() {
    while (at(pos_) == ' ' || at(pos_) == '\x02') ++pos_;
    if (at(pos_) != '{') {
      const size_t begin = pos_;
      if (pos_ < text_.size()) ++pos_;
      if (at(begin) == '\\') {
        while (is_letter(at(pos_))) ++pos_;
      }
      return text_.substr(begin, pos_ - begin);
    }
    const size_t begin = ++pos_;
    int depth = 1;
    for (; pos_ < text_.size(); ++pos_) {
      if (text_[pos_] == '\\') {
        ++pos_;
        continue;
      }
      depth += text_[pos_] == '{' ? 1 : text_[pos_] == '}' ? -1 : 0;
      if (depth == 0) return text_.substr(begin, pos_++ - begin);
    }
    throw ParseFailure{false, "a brace is not closed"};
  }

  void command() {
    size_t end = pos_ + 1;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const std::string_view name = text_.substr(pos_ + 1, end - pos_ - 1);
    if (name.empty()) return escaped_sign();
    pos_ = end;
    if (contains(kTextCommands, name)) return text_group(name);
    if (contains(kFaceCommands, name)) return splice(braces());
    if (name == "phantom" || name == "hspace" || name == "vspace") return (void)braces();
    put(Token::Kind::kCommand, name);
  }

  void escaped_sign() {
    const std::string_view sign = text_.substr(pos_, 2);
    if (sign != "\\\\" && sign != "\\{" && sign != "\\}" && sign != "\\|") {
      if (sign == "\\") {  // at the end of a text that was cut
        ++pos_;
        return;
      }
      throw ParseFailure{false, "an unknown sign after a backslash"};
    }
    depth_ += sign == "\\{" ? 1 : sign == "\\}" ? -1 : 0;
    put(Token::Kind::kSign, sign == "\\|" ? "|" : sign);
    pos_ += 2;
  }

  void splice(std::string_view text) {
    if (++nesting_ > 8) throw ParseFailure{true, "nested too deep"};
    const std::string_view outer = text_;
    const size_t outer_pos = pos_;
    text_ = text;
    pos_ = 0;
    ++depth_;
    scan_all();
    --depth_;
    --nesting_;
    text_ = outer;
    pos_ = outer_pos;
  }

  void text_group(std::string_view command_name) {
    const std::string_view content = scan::trim(braces());
    const size_t first = content.find_first_not_of(", ");
    const std::string_view words = first == std::string_view::npos ? content : content.substr(first);
    if (words == "and" || words == "or") return put(Token::Kind::kText, words);  // ", and"
    const bool has_letters = std::any_of(content.begin(), content.end(), is_letter);
    if (!has_letters) return splice(content);
    const bool is_operator = command_name == "mathrm" || command_name == "operatorname" || command_name == "rm";
    if (is_operator && content.size() == 1) return put(Token::Kind::kLetter, content);
    if (is_operator && is_function_name(content)) return put(Token::Kind::kWord, content);
    put(Token::Kind::kText, content);
  }

  void sign() {
    for (const std::string_view two : {"<=", ">=", "!=", "**", "=="}) {
      if (text_.substr(pos_).starts_with(two)) {
        put(Token::Kind::kSign, two == "**" ? "^" : two == "==" ? "=" : two);
        pos_ += 2;
        return;
      }
    }
    const char c = text_[pos_];
    if (std::string_view("+-*/^_=<>()[]{}|,;:!%&'.\x01").find(c) == std::string_view::npos) {
      throw ParseFailure{false, "a sign that is not known"};
    }
    depth_ += c == '(' || c == '[' || c == '{' ? 1 : c == ')' || c == ']' || c == '}' ? -1 : 0;
    put(Token::Kind::kSign, c == '\x01' ? "," : std::string_view(&c, 1));
    ++pos_;
  }

  std::string_view text_;
  size_t pos_ = 0;
  bool commas_group_;
  int depth_ = 0;
  int nesting_ = 0;
  bool has_space_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view text, bool commas_group) { return Lexer(text, commas_group).run(); }

}  // namespace noregret::math
