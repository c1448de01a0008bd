#include "noregret/grade/extract.h"

#include <algorithm>
#include <array>
#include <vector>

#include "grade/scan.h"
#include "noregret/grade/gsm8k.h"
#include "noregret/grade/parse.h"

namespace noregret {
namespace {

using scan::is_letter;
using scan::trim;

constexpr size_t kNone = std::string_view::npos;

struct Box {
  size_t begin = 0;  // of the command
  size_t end = 0;    // behind it
  std::string_view content;
};

// Where braces opened at `begin` (behind the first one) close, or npos. Every byte is looked at once in all, as a box
// that is not closed ends the search for others inside of it only where one is.
size_t closing_brace(std::string_view text, size_t begin) {
  int depth = 1;
  for (size_t pos = begin; pos < text.size(); ++pos) {
    if (text[pos] == '\\') {
      ++pos;
    } else if (text[pos] == '{') {
      ++depth;
    } else if (text[pos] == '}' && --depth == 0) {
      return pos;
    }
  }
  return kNone;
}

bool box_at(std::string_view text, size_t command, size_t size, Box& box) {
  size_t pos = command + size;
  if (pos < text.size() && is_letter(text[pos])) return false;
  while (pos < text.size() && text[pos] == ' ') ++pos;
  if (pos >= text.size()) return false;
  box.begin = command;
  if (text[pos] == '{') {
    const size_t close = closing_brace(text.substr(0, std::min(text.size(), pos + 4096)), pos + 1);
    if (close == kNone) return false;
    box.content = text.substr(pos + 1, close - pos - 1);
    box.end = close + 1;
    return true;
  }
  size_t end = pos;  // \boxed 5
  const size_t limit = std::min(text.size(), pos + kMaxAnswerBytes);
  while (end < limit && std::string_view(" \n\t$.,;}").find(text[end]) == kNone) ++end;
  if (end < text.size() && text[end] == '.' && end + 1 < text.size() && scan::is_digit(text[end + 1])) {
    ++end;
    while (end < text.size() && scan::is_digit(text[end])) ++end;
  }
  box.content = text.substr(pos, end - pos);
  box.end = end;
  return !box.content.empty() && box.content.size() < kMaxAnswerBytes;
}

// Complete boxes from the last one backwards, outer ones before those within; at most as many as are asked for.
std::vector<Box> last_boxes(std::string_view text, size_t most) {
  std::vector<Box> boxes;
  size_t limit = text.size();
  int num_tried = 0;
  while (boxes.size() < most && num_tried++ < 4096) {
    const size_t slash = limit == 0 ? kNone : text.rfind('\\', limit - 1);
    if (slash == kNone) break;
    limit = slash;
    const std::string_view rest = text.substr(slash);
    const size_t size = rest.starts_with("\\boxed") ? 6 : rest.starts_with("\\fbox") ? 5 : 0;
    Box box;
    if (size == 0) {
      --num_tried;
      continue;
    }
    if (!box_at(text, slash, size, box)) continue;
    // A box inside of the one found before is a part of it.
    if (!boxes.empty() && boxes.back().begin < box.end && boxes.back().end <= box.end) boxes.pop_back();
    boxes.push_back(box);
  }
  return boxes;
}

// Only signs, joining words, and the name of what is boxed next: "$ and $y =".
bool joins(std::string_view between) {
  if (between.size() > 60) return false;
  std::string words;
  for (size_t i = 0; i < between.size(); ++i) {
    if (between[i] == '\\') {
      size_t end = i + 1;
      while (end < between.size() && is_letter(between[end])) ++end;
      i = std::max(i + 2, end) - 1;
    } else if (is_letter(between[i]) || scan::is_digit(between[i]) || between[i] == '=') {
      words += between[i];
    } else if (std::string_view(" \n{}$()[],;_").find(between[i]) == kNone) {
      return false;
    }
  }
  for (const std::string_view word : {"and", "or"}) {
    if (words.starts_with(word)) words.erase(0, word.size());
  }
  if (words.empty()) return true;
  const bool is_name = is_letter(words[0]) && words.back() == '=' && words.size() <= 4;
  return is_name && words.find_first_not_of("0123456789=", 1) == std::string::npos;
}

std::string boxed_answer(std::string_view text, bool gold_is_list, bool& is_found) {
  const std::vector<Box> boxes = last_boxes(text, gold_is_list ? 16 : 2);
  is_found = !boxes.empty();
  if (!is_found) return "";
  std::string answer(boxes[0].content);
  if (!gold_is_list) return answer;
  for (size_t i = 1; i < boxes.size(); ++i) {
    if (boxes[i].end > boxes[i - 1].begin) break;
    if (!joins(text.substr(boxes[i].end, boxes[i - 1].begin - boxes[i].end))) break;
    answer = std::string(boxes[i].content) + ", " + answer;
  }
  return answer;
}

// The last box is not closed, or its end is not marked.
bool ends_in_a_box(std::string_view text) {
  const size_t last = text.rfind("\\boxed");
  if (last == kNone) return false;
  const std::vector<Box> boxes = last_boxes(text.substr(last), 1);
  return boxes.empty() || (last + boxes[0].end == text.size() && text.back() != '}');
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

// To the end of the line, or of the sentence.
std::string_view sentence(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  for (size_t pos = 0; pos + 1 < text.size(); ++pos) {
    const bool is_stop = text[pos] == '.' && text[pos + 1] == ' ';
    if (is_stop) return text.substr(0, pos);
  }
  return text;
}

bool after_answer_words(std::string_view text, std::string_view& answer, bool& reaches_end) {
  const std::string lower = lower_case(text);
  size_t best = kNone;
  size_t begin = 0;
  for (const std::string_view words : {"answer:", "answer is:", "answer is", "answer =", "answer $", "answer \\(",
                                       "answer \\[", "answer**:", "answer:**"}) {
    const size_t pos = lower.rfind(words);
    if (pos == kNone || (best != kNone && pos < best)) continue;
    if (best == pos && begin > pos + words.size()) continue;
    const bool keeps_sign = words.back() == '$' || words.back() == '(' || words.back() == '[';
    begin = pos + words.size() - (keeps_sign ? (words.back() == '$' ? 1 : 2) : 0);
    best = pos;
  }
  if (best == kNone) return false;
  std::string_view rest = text.substr(begin);
  while (rest.starts_with('*') || rest.starts_with(' ')) rest.remove_prefix(1);
  for (const auto& [open, close] : {std::pair<std::string_view, std::string_view>{"\\[", "\\]"}, {"$$", "$$"}}) {
    if (!rest.starts_with(open)) continue;
    const size_t end = rest.find(close, open.size());
    if (end == kNone) return false;
    answer = rest.substr(open.size(), end - open.size());
    reaches_end = false;
    return true;
  }
  answer = sentence(rest);
  reaches_end = answer.data() + answer.size() == text.data() + text.size();
  return true;
}

// The one formula of the last line that is not blank.
bool closing_formula(std::string_view text, std::string_view& answer) {
  text = scan::trim_end(text);
  struct Pair {
    std::string_view open, close;
    bool spans_lines;
  };
  constexpr auto kPairs =
      std::to_array<Pair>({{"$$", "$$", true}, {"\\[", "\\]", true}, {"\\(", "\\)", false}, {"$", "$", false}});
  for (const Pair& pair : kPairs) {
    const size_t close = text.rfind(pair.close);
    if (close == kNone || close == 0) continue;
    const size_t open = text.rfind(pair.open, close - 1);
    if (open == kNone || open + pair.open.size() > close) continue;
    const std::string_view inside = text.substr(open + pair.open.size(), close - open - pair.open.size());
    const std::string_view tail = text.substr(close + pair.close.size());
    if (tail.find('\n') != kNone || (!pair.spans_lines && inside.find('\n') != kNone)) continue;
    const size_t line = text.rfind('\n', open) + 1;
    const std::string_view head = text.substr(line, open - line);
    const bool is_only = head.find_first_of("$\\") == kNone && tail.find_first_of("$\\") == kNone;
    if (!is_only) return false;
    answer = inside;
    return true;
  }
  return false;
}

// Not a computation that is left to the reader.
bool is_worked_out(std::string_view text) {
  const math::Parsed parsed = math::parse_answer(text);
  if (!parsed.is_ok()) return false;
  const bool is_number = !math::has_unknowns(parsed.expr);
  return !is_number || !math::any_of(parsed.expr, [](const math::Expr& part) {
    const auto all_numbers = [&] {
      int64_t count = 0;
      for (const math::Expr& arg : part.args) count += arg.is(math::Kind::kNumber) ? 1 : 0;
      return count >= 2;
    };
    return (part.is(math::Kind::kSum) || part.is(math::Kind::kProduct)) && all_numbers();
  });
}

bool is_bare(std::string_view text) {
  if (text.size() > kMaxAnswerBytes) return false;
  const math::Parsed parsed = math::parse_answer(text);
  return parsed.is_ok() && !parsed.expr.text.starts_with("phrase ");
}

// "... which is 7." at the end of the text.
bool closing_statement(std::string_view text, std::string_view& answer) {
  text = scan::trim_end(text);
  const std::string_view line = text.substr(text.rfind('\n') + 1);
  for (const std::string_view verb : {" is ", " are ", " equals "}) {
    const size_t pos = line.rfind(verb);
    if (pos == kNone) continue;
    answer = line.substr(pos + verb.size());
    const bool has_digit = answer.find_first_of("0123456789") != kNone;
    if (has_digit && is_bare(answer) && is_worked_out(answer)) return true;
  }
  return false;
}

// "The final answer is 7." behind the last box, where it can be read.
bool after_final_words(std::string_view text, std::string_view& answer) {
  const size_t box = text.rfind("\\boxed");
  if (box == kNone) return false;
  const std::string_view tail = text.substr(box);
  const std::string lower = lower_case(tail);
  const size_t words = lower.rfind("final answer is");
  if (words == kNone) return false;
  bool reaches_end = false;
  if (!after_answer_words(tail.substr(words), answer, reaches_end)) return false;
  return math::parse_answer(answer).is_ok() && answer.find_first_of("0123456789") != kNone;
}

// What is left when the reasoning is over. False: it never ends.
bool skip_reasoning(std::string_view& text, const ExtractOptions& options) {
  if (options.reasoning_end.empty()) return true;
  const size_t end = text.rfind(options.reasoning_end);
  if (end == kNone) return options.reasoning_begin.empty() || text.find(options.reasoning_begin) == kNone;
  text.remove_prefix(end + options.reasoning_end.size());
  return options.reasoning_begin.empty() || text.find(options.reasoning_begin) == kNone;
}

Extraction found(std::string_view answer, const char* source) { return {true, std::string(trim(answer)), source}; }

Extraction hash_answer(std::string_view text, bool is_truncated) {
  const NumberText number = number_after_mark(text, is_truncated);
  if (number.status == NumberText::Status::kOk) return found(number.canonical, "hash");
  if (number.status == NumberText::Status::kMissing) return {};
  const std::string_view line = text.substr(text.rfind("####") + 4);
  return found(line.substr(0, line.find('\n')), "hash");
}

}  // namespace

ExtractOptions lenient_extraction() {
  ExtractOptions options;
  options.hash_mark = options.answer_line = options.closing_math = options.bare_answer = true;
  return options;
}

Extraction extract_answer(std::string_view completion, const ExtractOptions& options, bool is_truncated,
                          bool gold_is_list) {
  std::string_view text = completion;
  if (!skip_reasoning(text, options)) return {};
  bool is_found = false;
  std::string_view answer;
  const std::string boxed = boxed_answer(text, gold_is_list, is_found);
  if (is_truncated && ends_in_a_box(text)) return {};
  if (is_found && !(options.answer_line && after_final_words(text, answer))) return found(boxed, "box");
  if (is_found) return found(answer, "line");
  if (options.hash_mark && has_answer_mark(text)) return hash_answer(text, is_truncated);
  bool reaches_end = false;
  if (options.answer_line && after_answer_words(text, answer, reaches_end) && !trim(answer).empty()) {
    return is_truncated && reaches_end ? Extraction{} : found(answer, "line");
  }
  if (is_truncated) return {};
  if (options.answer_line) {
    const size_t close = text.rfind("</answer>");
    const size_t open = close == kNone ? kNone : text.rfind("<answer>", close);
    if (open != kNone) return found(text.substr(open + 8, close - open - 8), "line");
  }
  if (options.bare_answer && is_bare(trim(text))) return found(text, "bare");
  if (options.closing_math && closing_formula(text, answer) && is_worked_out(answer)) return found(answer, "math");
  if (options.closing_math && closing_statement(text, answer)) return found(answer, "math");
  if (options.last_number) {
    const NumberText number = last_number(text, is_truncated);
    if (number.status == NumberText::Status::kOk) return found(number.canonical, "number");
  }
  return {};
}

std::string bare_answer(std::string_view text) {
  bool is_found = false;
  const std::string boxed = boxed_answer(text, true, is_found);
  return is_found ? boxed : std::string(text);
}

std::vector<std::string> boxed_answers(std::string_view text) {
  std::vector<std::string> answers;
  for (const Box& box : last_boxes(text, 64)) answers.emplace_back(trim(box.content));
  std::reverse(answers.begin(), answers.end());
  return answers;
}

std::string gold_answer(std::string_view gold) {
  bool is_found = false;
  const std::string boxed = boxed_answer(gold, true, is_found);
  if (is_found) return boxed;
  if (has_answer_mark(gold)) {
    const std::string_view line = gold.substr(gold.rfind("####") + 4);
    return std::string(trim(line.substr(0, line.find('\n'))));
  }
  if (is_bare(trim(gold))) return std::string(trim(gold));
  std::string_view answer;
  bool reaches_end = false;
  if (after_answer_words(gold, answer, reaches_end) && !trim(answer).empty()) return std::string(trim(answer));
  return std::string(trim(gold));
}

}  // namespace noregret
