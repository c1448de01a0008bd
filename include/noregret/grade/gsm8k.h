#pragma once

#include <string>
#include <string_view>

#include "noregret/grade/number.h"
#include "noregret/grade/verdict.h"

// GSM8K's answer form: the solution ends with a line "#### <number>" (Cobbe et al., arXiv:2110.14168).
namespace noregret {

bool has_answer_mark(std::string_view completion);

// The number between the last "####" and the end of its line, by read_number. `is_truncated`: the text may be cut
// anywhere; then a line that does not end gives no answer, for "#### 1" may be the beginning of "#### 18".
NumberText number_after_mark(std::string_view completion, bool is_truncated);

// The last number of running text, whatever stands before it; kUnparsable where it is a part of something else ("7/14",
// "10-5", "x2", "5 million"). Its thousands are separated by commas only.
NumberText last_number(std::string_view completion, bool is_truncated);

// Is the last line "#### " and a plain number (-1,234.5), with no other "####" in the text? White space may follow.
bool ends_in_answer_line(std::string_view completion, bool is_truncated);

struct Gsm8kGrade {
  Verdict verdict = Verdict::kNoAnswer;
  bool is_marked = false;  // the completion holds a "####"
  std::string answer;      // canonical; "" when none was read
};

// Compares the completion's answer with the gold: a number, alone or after "####". With `strict` the answer stands
// after "####"; else, where there is no "####", the last number counts.
Gsm8kGrade grade_gsm8k(std::string_view gold, std::string_view completion, bool is_truncated, bool strict);

}  // namespace noregret
