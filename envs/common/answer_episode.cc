#include "envs/common/answer_episode.h"

#include <string_view>

#include "envs/common/task_list.h"
#include "noregret/base/check.h"
#include "noregret/grade/extract.h"
#include "noregret/grade/number.h"

namespace noregret {
namespace {

constexpr std::string_view kMark = "####";

// False: the reasoning never ends.
bool skip_reasoning(std::string& text) {
  constexpr std::string_view kEnd = "</think>";
  if (const size_t end = text.rfind(kEnd); end != std::string::npos) text.erase(0, end + kEnd.size());
  return text.find("<think>") == std::string::npos;
}

class AnswerEpisode : public Episode {
 public:
  explicit AnswerEpisode(std::function<AnswerVerdict(const std::string&)> judge) : judge_(std::move(judge)) {}

  StepResult step(const Turn& turn) override {
    NOREGRET_CHECK(!is_over_, "an episode of one turn is used once");
    is_over_ = true;
    const std::optional<std::string> answer = answer_of(turn);
    const AnswerVerdict verdict = answer ? judge_(*answer) : AnswerVerdict::kUnreadable;
    StepResult result;
    result.is_terminated = !turn.is_cut;
    result.is_truncated = turn.is_cut;
    result.stop_reason = turn.is_cut ? StopReason::kMaxTokens : StopReason::kCompleted;
    result.score = verdict == AnswerVerdict::kRight ? 1.0 : 0.0;
    result.parts = {{"answered", answer ? 1.0 : 0.0}, {"readable", verdict != AnswerVerdict::kUnreadable ? 1.0 : 0.0}};
    return result;
  }

 private:
  std::function<AnswerVerdict(const std::string&)> judge_;
  bool is_over_ = false;
};

}  // namespace

std::optional<std::string> answer_of(const Turn& turn) {
  std::string text = turn.text;
  if (!skip_reasoning(text)) return std::nullopt;
  std::string answer;
  if (const size_t mark = text.rfind(kMark); mark != std::string::npos) {
    const size_t begin = mark + kMark.size();
    const size_t end = text.find('\n', begin);
    if (turn.is_cut && end == std::string::npos) return std::nullopt;
    answer = trimmed(text.substr(begin, end - begin));
  } else {
    const Extraction found = extract_answer(text, ExtractOptions{}, turn.is_cut, false);
    if (found.is_found) answer = trimmed(found.answer);
  }
  if (answer.empty() || answer.size() > kMaxAnswerBytes) return std::nullopt;
  return answer;
}

std::unique_ptr<Episode> judge_answer(std::function<AnswerVerdict(const std::string&)> judge) {
  return std::make_unique<AnswerEpisode>(std::move(judge));
}

}  // namespace noregret
