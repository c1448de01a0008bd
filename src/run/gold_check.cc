#include "run/gold_check.h"

#include <algorithm>
#include <cctype>

#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr size_t kMaxProblems = 10;

std::vector<std::string> forms_of(const std::string& answer) {
  return {answer,
          "#### " + answer,
          "\\boxed{" + answer + "}",
          "The answer is " + answer + ".",
          "Answer: " + answer,
          "<answer>" + answer + "</answer>"};
}

// A right completion and its wrong twin.
struct Twins {
  size_t item_idx;
  std::string right;
  std::string wrong;
};

std::vector<Twins> twins_of(const std::vector<TestItem>& items) {
  std::vector<Twins> twins;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].gold.empty()) {
      twins.push_back(Twins{i, items[i].gold, ""});
      continue;
    }
    const std::string& reference = items[i].item.reference;
    if (reference.empty()) continue;
    const std::vector<std::string> right = forms_of(reference);
    const std::vector<std::string> wrong = forms_of(wrong_answer(reference));
    for (size_t form = 0; form < right.size(); ++form) twins.push_back(Twins{i, right[form], wrong[form]});
  }
  return twins;
}

std::vector<RubricResult> score(const Rubric& rubric, const std::vector<TestItem>& items,
                                const std::vector<Twins>& twins, bool wants_right) {
  std::vector<ScoreItem> list;
  for (const Twins& pair : twins) {
    ScoreItem one = items[pair.item_idx].item;
    one.completion = wants_right ? pair.right : pair.wrong;
    one.finish_reason = "stop";
    one.id = cat(one.id, wants_right ? "/gold/" : "/wrong/", list.size());
    list.push_back(std::move(one));
  }
  return rubric.score(list);
}

bool is_full(const RubricResult& result, double max_reward) {
  return result.status == ScoreStatus::kOk && result.breakdown.front().score == max_reward;
}

bool is_equal(const RubricResult& a, const RubricResult& b) {
  return a.status == b.status && a.breakdown.front().score == b.breakdown.front().score;
}

void tell(GoldCheck& check, const std::string& problem) {
  if (check.problems.size() < kMaxProblems) check.problems.push_back(problem);
}

std::string result_text(const RubricResult& result) {
  return result.status == ScoreStatus::kOk ? shortest(result.breakdown.front().score) : "no score: " + result.error;
}

}  // namespace

std::string wrong_answer(const std::string& answer) {
  std::string wrong = answer;
  for (const auto is_kind : {+[](int c) { return std::isdigit(c); }, +[](int c) { return std::isalpha(c); }}) {
    for (size_t i = wrong.size(); i-- > 0;) {
      const auto c = static_cast<unsigned char>(wrong[i]);
      if (c >= 0x80 || is_kind(c) == 0) continue;
      const bool is_last = c == '9' || c == 'z' || c == 'Z';
      wrong[i] = is_last ? static_cast<char>(c - 1) : static_cast<char>(c + 1);
      return wrong;
    }
  }
  return wrong + "1";
}

GoldCheck check_gold(const Rubric& rubric, const std::vector<TestItem>& items) {
  GoldCheck check;
  const std::vector<Twins> twins = twins_of(items);
  if (twins.empty()) return check;
  const double max_reward = rubric.scorers().front()->max_reward();
  const std::vector<RubricResult> right = score(rubric, items, twins, true);
  const std::vector<RubricResult> wrong = score(rubric, items, twins, false);
  const auto has_full_marks = [&](const RubricResult& result) { return is_full(result, max_reward); };
  check.ignores_reference = std::equal(right.begin(), right.end(), wrong.begin(), is_equal) &&
                            std::any_of(right.begin(), right.end(), has_full_marks);
  for (size_t begin = 0, end = 0; begin < twins.size(); begin = end) {
    const TestItem& item = items[twins[begin].item_idx];
    size_t full = twins.size();
    bool is_fooled = false;
    for (end = begin; end < twins.size() && twins[end].item_idx == twins[begin].item_idx; ++end) {
      if (!is_full(right[end], max_reward)) continue;
      full = std::min(full, end);
      if (is_full(wrong[end], max_reward) && !check.ignores_reference && !is_fooled) {
        is_fooled = true;
        tell(check, cat(item.where, ": the wrong answer ", quoted(twins[end].wrong), " gets full marks"));
      }
    }
    ++check.num_gold;
    check.num_full += full < twins.size() ? 1 : 0;
    check.num_fooled += is_fooled ? 1 : 0;
    if (full == twins.size() && !check.ignores_reference) {
      tell(check, cat(item.where, ": the right answer ", quoted(twins[begin].right), " gets ",
                      result_text(right[begin]), ", want ", max_reward,
                      item.gold.empty() ? ", in every form; does the line want a \"gold\" completion?" : ""));
    }
  }
  return check;
}

std::string gold_text(const GoldCheck& check) {
  if (check.num_gold == 0) return "no line has a reference or a gold completion: whether right gets more is not known";
  if (check.ignores_reference) return "right and wrong answers get the same: this reward does not tell them apart";
  std::string text = cat("right answers: ", check.num_full, " of ", check.num_gold,
                         " get full marks\nwrong answers: ", check.num_fooled, " of ", check.num_full, " do");
  for (const std::string& problem : check.problems) text += "\n" + problem;
  return text;
}

}  // namespace noregret
