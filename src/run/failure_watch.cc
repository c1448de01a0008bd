#include "run/failure_watch.h"

#include <numeric>

namespace noregret {

void FailureWatch::add(int64_t num_failed, int64_t num_completions) {
  num_completions_ = num_completions;
  failed_.push_back(num_failed);
  if (static_cast<int64_t>(failed_.size()) > num_steps_) failed_.pop_front();
}

int64_t FailureWatch::num_failed() const { return std::accumulate(failed_.begin(), failed_.end(), int64_t{0}); }

bool FailureWatch::is_passed() const {
  return static_cast<double>(num_failed()) > max_share_ * static_cast<double>(num_steps_ * num_completions_);
}

Json FailureWatch::state() const {
  Json list = Json::array();
  for (const int64_t count : failed_) list.push_back(count);
  return Json{{"completions", num_completions_}, {"failed", std::move(list)}};
}

void FailureWatch::restore(const Json& state) {
  const std::string where = "state.json: reward_failures";
  num_completions_ = json_int(state, "completions", where);
  failed_.clear();
  for (const Json& count : json_at(state, "failed", where)) failed_.push_back(count.get<int64_t>());
}

}  // namespace noregret
