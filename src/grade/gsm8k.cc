#include "noregret/grade/gsm8k.h"

#include "grade/scan.h"

namespace noregret {
namespace {

using scan::is_digit;
using scan::trim;
using scan::trim_end;
using Status = NumberText::Status;

constexpr std::string_view kMark = "####";

bool is_plain_number(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || !is_digit(digits.front()) || !is_digit(digits.back())) return false;
  if (digits.find_first_not_of("0123456789,.") != std::string_view::npos) return false;
  return read_number(text).status == Status::kOk;
}

NumberText read_gold(std::string_view gold) {
  return has_answer_mark(gold) ? number_after_mark(gold, false) : read_number(gold);
}

Verdict verdict_of(const NumberText& prediction, const NumberText& gold) {
  switch (prediction.status) {
    case Status::kMissing:
      return Verdict::kNoAnswer;
    case Status::kUnparsable:
      return Verdict::kPredUnparsable;
    case Status::kOverCap:
      return Verdict::kOverCap;
    case Status::kOk:
      break;
  }
  return prediction.canonical == gold.canonical ? Verdict::kEqual : Verdict::kNotEqual;
}

}  // namespace

bool has_answer_mark(std::string_view completion) { return completion.find(kMark) != std::string_view::npos; }

NumberText number_after_mark(std::string_view completion, bool is_truncated) {
  const size_t mark = completion.rfind(kMark);
  if (mark == std::string_view::npos) return {Status::kMissing, ""};
  const std::string_view rest = completion.substr(mark + kMark.size());
  const size_t line_end = rest.find('\n');
  if (is_truncated && line_end == std::string_view::npos) return {Status::kMissing, ""};
  return read_number(rest.substr(0, line_end));
}

bool ends_in_answer_line(std::string_view completion, bool is_truncated) {
  const std::string_view text = trim_end(completion);
  const bool is_line_complete = completion.find('\n', text.size()) != std::string_view::npos;
  if (is_truncated && !is_line_complete) return false;
  const size_t begin = text.rfind('\n') + 1;
  if (text.find(kMark) != begin) return false;
  const std::string_view after = text.substr(begin + kMark.size());
  return after.starts_with(' ') && is_plain_number(after.substr(1));
}

Gsm8kGrade grade_gsm8k(std::string_view gold, std::string_view completion, bool is_truncated, bool strict) {
  Gsm8kGrade grade;
  grade.is_marked = has_answer_mark(completion);
  const bool is_from_mark = strict || grade.is_marked;
  const NumberText prediction =
      is_from_mark ? number_after_mark(completion, is_truncated) : last_number(completion, is_truncated);
  grade.answer = prediction.canonical;
  const NumberText right = read_gold(gold);
  grade.verdict = right.status == Status::kOk ? verdict_of(prediction, right) : Verdict::kGoldUnparsable;
  return grade;
}

}  // namespace noregret
