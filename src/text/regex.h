#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.h"

namespace noregret::text {

// A pattern in Ruby syntax, compiled by Oniguruma: the engine and the syntax that the tokenizers library uses.
class Regex {
 public:
  // Throws DataError, beginning with `where`, on a pattern that does not compile.
  Regex(std::string pattern, std::string where);
  Regex(Regex&&) noexcept;
  ~Regex();

  struct Compiled;

 private:
  friend class RegexSearch;
  std::string pattern_;
  std::string where_;
  std::unique_ptr<Compiled> compiled_;
};

// Searches with one pattern; for one thread.
class RegexSearch {
 public:
  explicit RegexSearch(const Regex& regex);
  ~RegexSearch();

  // Appends the matches in `text` (valid UTF-8), from left to right, none overlapping, offsets from the begin of
  // `text`. An empty match next to the match before it does not count. Throws DataError when a match takes more steps
  // or memory than the limits allow.
  void find_all(std::string_view text, std::vector<Span>& matches);

 private:
  struct State;
  const Regex& regex_;
  std::unique_ptr<State> state_;
};

}  // namespace noregret::text
