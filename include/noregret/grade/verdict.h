#pragma once

#include <string_view>

namespace noregret {

// What a grader says of a prediction. Only kEqual pays; all others but kGoldUnparsable pay nothing. With
// kGoldUnparsable there is nothing to compare with: the sample is failed, and masked.
enum class Verdict {
  kEqual,
  kNotEqual,
  kNoAnswer,        // the completion gives none, or was cut while it did
  kPredUnparsable,  // it gives something that the grader cannot read as one value
  kOverCap,         // longer than any right answer
  kGoldUnparsable,
};

// "equal", "not_equal", "no_answer", "pred_unparsable", "over_cap", "gold_unparsable".
std::string_view verdict_name(Verdict verdict);

}  // namespace noregret
