#include "envs/number_sorting/number_sorting.h"

#include <algorithm>
#include <optional>

#include "envs/common/answer_episode.h"
#include "envs/common/procedural.h"

namespace noregret {
namespace {

using Numbers = std::vector<int64_t>;

std::string listed(const Numbers& numbers) {
  std::vector<std::string> texts;
  for (const int64_t number : numbers) texts.push_back(cat(number));
  return join(texts, ", ");
}

// "3, 5, 9", also with spaces alone, in brackets or with a stop at the end.
std::optional<Numbers> read_list(std::string text) {
  if (!text.empty() && text.back() == '.') text.pop_back();
  const bool is_bracketed =
      text.size() >= 2 && ((text.front() == '[' && text.back() == ']') || (text.front() == '(' && text.back() == ')'));
  if (is_bracketed) text = text.substr(1, text.size() - 2);
  Numbers numbers;
  bool wants_number = true;  // at the beginning and after a comma
  for (size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      ++i;
    } else if (text[i] == ',' && !wants_number) {
      wants_number = true;
      ++i;
    } else {
      const size_t end = std::min(text.find_first_not_of("0123456789", i), text.size());
      if (end == i || end - i > 9) return std::nullopt;
      numbers.push_back(std::stoll(text.substr(i, end - i)));
      wants_number = false;
      i = end;
    }
  }
  if (wants_number) return std::nullopt;
  return numbers;
}

class NumberSorting : public ProceduralTasks {
 public:
  NumberSorting(const NumberSortingOptions& options, uint64_t seed)
      : ProceduralTasks("number_sorting", write_fields(options), options.instruction, seed), options_(options) {}

  std::unique_ptr<Episode> start(const Task& task) const override {
    return judge_answer([want = task.reference](const std::string& answer) {
      const std::optional<Numbers> numbers = read_list(answer);
      if (!numbers) return AnswerVerdict::kUnreadable;
      return listed(*numbers) == want ? AnswerVerdict::kRight : AnswerVerdict::kWrong;
    });
  }

 private:
  Task draw(Rng question, Rng /*other*/) const override {
    Numbers numbers;
    while (static_cast<int64_t>(numbers.size()) < options_.level) {
      const int64_t number = draw_int(question, 0, options_.max_number);
      if (std::find(numbers.begin(), numbers.end(), number) == numbers.end()) numbers.push_back(number);
    }
    const bool is_rising = question.below(2) == 0;
    Numbers sorted = numbers;
    std::sort(sorted.begin(), sorted.end());
    if (!is_rising) std::reverse(sorted.begin(), sorted.end());
    if (numbers == sorted) std::reverse(numbers.begin(), numbers.end());

    const char* order = is_rising ? "from smallest to largest" : "from largest to smallest";
    Task task;
    task.messages = {{"user", cat("Sort these numbers ", order, ": ", listed(numbers), ".")}};
    task.reference = listed(sorted);
    task.metadata["level"] = options_.level;
    task.demonstration = cat("The ", is_rising ? "smallest" : "largest", " is ", sorted.front(), ", the ",
                             is_rising ? "largest" : "smallest", " is ", sorted.back(), ".\n#### ", task.reference);
    return task;
  }

  NumberSortingOptions options_;
};

}  // namespace

std::unique_ptr<TaskSource> make_number_sorting(FieldReader& reader, const EnvContext& context) {
  NumberSortingOptions options;
  options.visit_fields(reader);
  reader.finish();
  return std::make_unique<NumberSorting>(options, context.seed);
}

}  // namespace noregret
