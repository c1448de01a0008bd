#include "noregret/grade/verdict.h"

namespace noregret {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kEqual:
      return "equal";
    case Verdict::kNotEqual:
      return "not_equal";
    case Verdict::kUnknown:
      return "unknown";
    case Verdict::kNoAnswer:
      return "no_answer";
    case Verdict::kPredUnparsable:
      return "pred_unparsable";
    case Verdict::kOverCap:
      return "over_cap";
    case Verdict::kGoldUnparsable:
      return "gold_unparsable";
    case Verdict::kTimeout:
      return "timeout";
    case Verdict::kCrashed:
      return "crashed";
  }
  return "";
}

}  // namespace noregret
