#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace noregret::build_rules {

// C++ source with comments, string literals and character literals blanked; newlines stay, so line numbers do too.
// An #include line keeps its file name. Raw strings end at their own delimiter.
class SourceBlanker {
 public:
  explicit SourceBlanker(std::string_view source) : source_(source), out_(source) {}

  std::string run() {
    while (pos_ < source_.size()) {
      if (starts("//")) {
        blank_to(source_.find('\n', pos_), 0);
      } else if (starts("/*")) {
        blank_to(source_.find("*/", pos_ + 2), 2);
      } else if (is_include_line()) {
        pos_ = end_of_line();
      } else if (starts("R\"") && !follows_identifier()) {
        blank_raw_string();
      } else if (source_[pos_] == '"' || (source_[pos_] == '\'' && !follows_identifier())) {
        blank_literal(source_[pos_]);
      } else {
        ++pos_;
      }
    }
    return out_;
  }

 private:
  bool starts(std::string_view text) const { return source_.substr(pos_, text.size()) == text; }
  size_t end_of_line() const { return std::min(source_.find('\n', pos_), source_.size()); }

  // True for the digit separator of 1'000 and for the last letter of an identifier that ends in R.
  bool follows_identifier() const {
    return pos_ > 0 && (std::isalnum(static_cast<unsigned char>(source_[pos_ - 1])) != 0 || source_[pos_ - 1] == '_');
  }

  bool is_include_line() const {
    if (source_[pos_] != '#') return false;
    const std::string_view line = source_.substr(pos_ + 1, end_of_line() - pos_ - 1);
    const size_t begin = line.find_first_not_of(" \t");
    return begin != std::string_view::npos && line.substr(begin, 7) == "include";
  }

  void blank_to(size_t end, size_t closing_size) {
    end = end == std::string_view::npos ? source_.size() : std::min(end + closing_size, source_.size());
    for (; pos_ < end; ++pos_) {
      if (out_[pos_] != '\n') out_[pos_] = ' ';
    }
  }

  void blank_literal(char quote) {
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote && source_[end] != '\n') end += source_[end] == '\\' ? 2 : 1;
    blank_to(end, 1);
  }

  void blank_raw_string() {
    const size_t open = source_.find('(', pos_);
    if (open == std::string_view::npos) return blank_to(open, 0);
    const std::string close = ")" + std::string(source_.substr(pos_ + 2, open - pos_ - 2)) + "\"";
    blank_to(source_.find(close, open), close.size());
  }

  std::string_view source_;
  std::string out_;
  size_t pos_ = 0;
};

inline std::string code_only(std::string_view source) { return SourceBlanker(source).run(); }

}  // namespace noregret::build_rules
