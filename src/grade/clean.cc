#include <array>
#include <utility>

#include "grade/lexer.h"
#include "grade/scan.h"

namespace noregret::math {
namespace {

using Spelling = std::pair<std::string_view, std::string_view>;

// By length, so that the longest is tried first. \x01 separates thousands for sure; \x02 is a thin space, which may.
constexpr auto kSpellings = std::to_array<Spelling>({
    {"\xE2\x88\x92", "-"},            // U+2212 minus
    {"\xE2\x80\x93", "-"},            // U+2013 en dash
    {"\xC3\x97", "\\times "},         // U+00D7
    {"\xC3\xB7", "\\div "},           // U+00F7
    {"\xC2\xB7", "\\cdot "},          // U+00B7
    {"\xE2\x8B\x85", "\\cdot "},      // U+22C5
    {"\xCF\x80", "\\pi "},            // U+03C0
    {"\xCE\xB8", "\\theta "},         // U+03B8
    {"\xCE\xB1", "\\alpha "},         // U+03B1
    {"\xCE\xB2", "\\beta "},          // U+03B2
    {"\xCE\xBB", "\\lambda "},        // U+03BB
    {"\xE2\x88\x9E", "\\infty "},     // U+221E
    {"\xE2\x88\x9A", "\\sqrt "},      // U+221A
    {"\xC2\xB0", "^\\circ "},         // U+00B0
    {"\xE2\x88\xAA", "\\cup "},       // U+222A
    {"\xE2\x88\xA9", "\\cap "},       // U+2229
    {"\xE2\x88\x96", "\\setminus "},  // U+2216
    {"\xE2\x88\x88", "\\in "},        // U+2208
    {"\xE2\x89\xA4", "\\le "},        // U+2264
    {"\xE2\x89\xA5", "\\ge "},        // U+2265
    {"\xE2\x89\xA0", "\\ne "},        // U+2260
    {"\xE2\x89\x88", "\\approx "},    // U+2248
    {"\xC2\xB1", "\\pm "},            // U+00B1
    {"\xE2\x88\x85", "\\emptyset "},  // U+2205
    {"\xE2\x84\x9D", "\\mathbb{R}"},  // U+211D
    {"\xC2\xB2", "^2 "},              // U+00B2
    {"\xC2\xB3", "^3 "},              // U+00B3
    {"\xE2\x80\x89", "\x02"},         // U+2009 thin space
    {"\xE2\x80\xAF", "\x02"},         // U+202F narrow no-break space
    {"\xC2\xA0", " "},                // U+00A0 no-break space
    {"\xE2\x82\xAC", " "},            // euro
    {"\xC2\xA3", " "},                // pound
    {"\xC2\xA5", " "},                // yen
    {"\xE2\x80\x99", "'"},            // U+2019
    {"{,}", "\x01"},
    {",\\!", "\x01"},
    {"\\!", ""},
    {"\\,", "\x02"},
    {"\\;", " "},
    {"\\:", " "},
    {"\\>", " "},
    {"\\ ", " "},
    {"\\\n", " "},
    {"\\$", " "},
    {"\\%", "%"},
    {"\\&", "&"},
    {"\\(", " "},
    {"\\)", " "},
    {"\\[", " "},
    {"\\]", " "},
    {"$", " "},
    {"~", " "},
    {"\t", " "},
    {"\r", " "},
    {"\n", " "},
});

// Commands without an argument: "" drops it.
constexpr auto kCommands = std::to_array<Spelling>({
    {"left", ""},
    {"right", ""},
    {"mleft", ""},
    {"mright", ""},
    {"big", ""},
    {"Big", ""},
    {"bigl", ""},
    {"bigr", ""},
    {"Bigl", ""},
    {"Bigr", ""},
    {"bigg", ""},
    {"biggl", ""},
    {"biggr", ""},
    {"displaystyle", ""},
    {"textstyle", ""},
    {"limits", ""},
    {"quad", " "},
    {"qquad", " "},
    {"dfrac", "\\frac"},
    {"tfrac", "\\frac"},
    {"cfrac", "\\frac"},
    {"dbinom", "\\binom"},
    {"tbinom", "\\binom"},
    {"lvert", "|"},
    {"rvert", "|"},
    {"vert", "|"},
    {"lbrace", "\\{"},
    {"rbrace", "\\}"},
    {"lbrack", "["},
    {"rbrack", "]"},
    {"lparen", "("},
    {"rparen", ")"},
    {"leq", "\\le "},
    {"leqslant", "\\le "},
    {"geq", "\\ge "},
    {"geqslant", "\\ge "},
    {"neq", "\\ne "},
    {"ast", "*"},
    {"degree", "^\\circ "},
    {"varnothing", "\\emptyset "},
    {"lt", "<"},
    {"gt", ">"},
    {"colon", ":"},
    {"land", "\\text{and}"},
    {"lor", "\\text{or}"},
    {"backslash", "\\setminus "},
    {"thinspace", "\x02"},
    {"space", " "},
    {"noindent", ""},
    {"exponentialE", "e"},
    {"prime", "'"},
    {"ldots", "\\dots "},
    {"cdots", "\\dots "},
    {"to", "\\to "},
    {"rightarrow", "\\to "},
});

// Written without a space before the letter that follows: \quadx.
constexpr auto kRunOn = std::to_array<std::string_view>({"qquad", "quad", "lvert", "rvert", "vert", "cdot", "times"});

// A line break is a blank where there are no rows, and "\\frac" then is a spelling of "\frac".
std::string without_double_backslashes(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("\\\\")) {
      const bool is_command = i + 2 < text.size() && scan::is_letter(text[i + 2]);
      out += is_command ? "\\" : " ";
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool may_begin_spelling(char c) {
  return static_cast<signed char>(c) < 0 || std::string_view("\\{,$~\t\r\n").find(c) != std::string_view::npos;
}

const Spelling* spelling_at(std::string_view text) {
  for (const Spelling& spelling : kSpellings) {
    if (text.starts_with(spelling.first)) return &spelling;
  }
  return nullptr;
}

// Writes the command that `text` begins with; returns the bytes read.
size_t put_command(std::string_view text, std::string& out) {
  size_t end = 1;
  while (end < text.size() && scan::is_letter(text[end])) ++end;
  const std::string_view name = text.substr(1, end - 1);
  for (const Spelling& spelling : kCommands) {
    if (spelling.first != name) continue;
    out += spelling.second;
    const bool is_command = spelling.second.starts_with('\\') && scan::is_letter(spelling.second.back());
    if (is_command && end < text.size() && scan::is_letter(text[end])) out += ' ';
    const bool is_bracket = name == "left" || name == "right";  // "\left." is a bracket that is not shown
    return end + (is_bracket && end < text.size() && text[end] == '.' ? 1 : 0);
  }
  for (const std::string_view first : kRunOn) {
    if (name == first || !name.starts_with(first)) continue;
    const std::string command = "\\" + std::string(first) + " ";
    put_command(command, out);
    out += ' ';
    return 1 + first.size();
  }
  out += text.substr(0, end);
  return end;
}

}  // namespace

std::string clean(std::string_view raw) {
  const std::string text = raw.find("\\begin") == std::string_view::npos && raw.find("\\\\") != std::string_view::npos
                               ? without_double_backslashes(raw)
                               : std::string(raw);
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const std::string_view rest = std::string_view(text).substr(pos);
    if (rest[0] == '\\' && rest.size() > 1 && scan::is_letter(rest[1])) {
      pos += put_command(rest, out);
      continue;
    }
    if (rest.starts_with("\\\\")) {  // the end of a row
      out += "\\\\";
      pos += 2;
      continue;
    }
    const Spelling* found = may_begin_spelling(rest[0]) ? spelling_at(rest) : nullptr;
    out += found == nullptr ? rest.substr(0, 1) : found->second;
    pos += found == nullptr ? 1 : found->first.size();
  }
  return out;
}

}  // namespace noregret::math
