#include "envs/common/golds.h"

#include "envs/common/task_list.h"
#include "noregret/grade/grader.h"
#include "noregret/grade/gsm8k.h"

namespace noregret {

std::string why_bad_gold(const std::string& answer_kind, const std::string& gold) {
  if (answer_kind == "number") {
    const NumberText number = has_answer_mark(gold) ? number_after_mark(gold, false) : read_number(gold);
    return number.status == NumberText::Status::kOk ? "" : "is no number";
  }
  if (answer_kind == "math") {
    const std::string why = why_gold_unreadable(gold);
    return why.empty() ? "" : "is no answer that the grader reads (" + why + ")";
  }
  return answer_kind == "text" && trimmed(gold).empty() ? "is empty" : "";
}

void BadGolds::add(const std::string& where, const std::string& gold, const std::string& why) {
  constexpr size_t kListed = 5;
  ++num_bad_;
  if (listed_.empty()) first_ = where + ": the gold " + quoted(gold) + " " + why;
  if (listed_.size() < kListed) listed_.push_back(where + " " + quoted(gold));
}

std::string BadGolds::text(int64_t num_golds) const {
  const bool is_longer = num_bad_ > static_cast<int64_t>(listed_.size());
  return cat(first_, "; ", num_bad_, " of ", num_golds, " golds are unreadable: ", join(listed_, ", "),
             is_longer ? ", ..." : "");
}

}  // namespace noregret
