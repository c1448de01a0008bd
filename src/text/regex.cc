#include "text/regex.h"

#include <oniguruma.h>

#include <array>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret::text {
namespace {

// A run of one kind of character takes one stack entry (about 50 bytes) and, at its end, at most two steps back for
// each character in the patterns in use: the limits admit runs of 4 million characters.
constexpr unsigned kMaxStackEntries = 1u << 23;
constexpr unsigned long kMaxRetries = 1ul << 24;

const OnigUChar* bytes(const char* text) { return reinterpret_cast<const OnigUChar*>(text); }

std::string error_text(int code, OnigErrorInfo* info) {
  std::array<OnigUChar, ONIG_MAX_ERROR_MESSAGE_LEN> buffer{};
  const int length =
      info == nullptr ? onig_error_code_to_str(buffer.data(), code) : onig_error_code_to_str(buffer.data(), code, info);
  return {reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(length)};
}

int initialize() {
  std::array<OnigEncoding, 1> encodings = {ONIG_ENCODING_UTF8};
  return onig_initialize(encodings.data(), static_cast<int>(encodings.size()));
}

}  // namespace

struct Regex::Compiled {
  regex_t* regex = nullptr;
  ~Compiled() { onig_free(regex); }
};

Regex::Regex(std::string pattern, std::string where)
    : pattern_(std::move(pattern)), where_(std::move(where)), compiled_(std::make_unique<Compiled>()) {
  static const int status = initialize();
  OnigErrorInfo info{};
  const char* begin = pattern_.data();
  const int code = status != ONIG_NORMAL ? status
                                         : onig_new(&compiled_->regex, bytes(begin), bytes(begin + pattern_.size()),
                                                    ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_RUBY, &info);
  if (code == ONIG_NORMAL) return;
  compiled_->regex = nullptr;
  throw DataError(
      cat(where_, ": pattern ", noregret::quoted(pattern_), " does not compile: ", error_text(code, &info)));
}

Regex::Regex(Regex&&) noexcept = default;
Regex::~Regex() = default;

struct RegexSearch::State {
  OnigRegion* region = onig_region_new();
  OnigMatchParam* param = onig_new_match_param();
  ~State() {
    onig_region_free(region, 1);
    onig_free_match_param(param);
  }
};

RegexSearch::RegexSearch(const Regex& regex) : regex_(regex), state_(std::make_unique<State>()) {
  onig_set_match_stack_limit_size_of_match_param(state_->param, kMaxStackEntries);
  onig_set_retry_limit_in_match_of_match_param(state_->param, kMaxRetries);
  onig_set_retry_limit_in_search_of_match_param(state_->param, kMaxRetries);
}

RegexSearch::~RegexSearch() = default;

void RegexSearch::find_all(std::string_view text, std::vector<Span>& matches) {
  const OnigUChar* begin = bytes(text.data());
  const OnigUChar* end = begin + text.size();
  bool has_previous = false;
  size_t previous_end = 0;
  for (size_t from = 0; from <= text.size();) {
    const int at = onig_search_with_param(regex_.compiled_->regex, begin, end, begin + from, end, state_->region,
                                          ONIG_OPTION_NONE, state_->param);
    if (at == ONIG_MISMATCH) return;
    if (at < 0) {
      throw DataError(cat(regex_.where_, ": pattern ", noregret::quoted(regex_.pattern_), " gives up on a text of ",
                          text.size(), " bytes: ", error_text(at, nullptr), "; shorten the text"));
    }
    const Span match{static_cast<size_t>(at), static_cast<size_t>(state_->region->end[0])};
    if (match.size() > 0) {
      matches.push_back(match);
      from = match.end;
    } else {
      if (!has_previous || match.begin != previous_end) matches.push_back(match);
      if (match.end == text.size()) return;
      from = match.end + code_point_at(text, match.end).num_bytes;
    }
    has_previous = true;
    previous_end = match.end;
  }
}

}  // namespace noregret::text
