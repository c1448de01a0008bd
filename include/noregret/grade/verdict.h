#pragma once

#include <string_view>

namespace noregret {

// What a grader says of a prediction. Only kEqual pays; kTimeout and kCrashed are failures of the grader and
// kGoldUnparsable is one of the data: the sample is masked. All others pay nothing.
enum class Verdict {
  kEqual,
  kNotEqual,
  kUnknown,         // neither was shown
  kNoAnswer,        // the completion gives none, or was cut while it did
  kPredUnparsable,  // it gives something that the grader cannot read as an answer
  kOverCap,         // longer or deeper than any right answer, or a computation instead of a value
  kGoldUnparsable,
  kTimeout,  // twice, each on a worker of its own
  kCrashed,  // the worker died, twice
};

// "equal", "not_equal", "unknown", "no_answer", "pred_unparsable", "over_cap", "gold_unparsable", "timeout", "crashed".
std::string_view verdict_name(Verdict verdict);

}  // namespace noregret
