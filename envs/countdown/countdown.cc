#include "envs/countdown/countdown.h"

#include <algorithm>
#include <vector>

#include "envs/common/answer_episode.h"
#include "envs/common/expression.h"
#include "envs/common/procedural.h"

namespace noregret {
namespace {

// A number that was given or reached, and how.
struct Reached {
  int64_t value;
  std::string text;
  int strength = 3;  // of what binds the text: 1 sum, 2 product, 3 a number alone
};

int strength_of(char sign) { return sign == '+' || sign == '-' ? 1 : 2; }

int64_t applied(char sign, int64_t left, int64_t right) {
  switch (sign) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    default:
      return left / right;
  }
}

// The signs between these two, the larger one first, that give a whole number from 1 to max_target. There always is
// one: a difference, or a quotient of 1.
std::string possible_signs(int64_t larger, int64_t smaller, int64_t max_target) {
  std::string signs;
  if (larger + smaller <= max_target) signs += '+';
  if (larger > smaller) signs += '-';
  if (larger * smaller <= max_target && smaller > 1) signs += '*';
  if (larger % smaller == 0 && (smaller > 1 || larger == smaller)) signs += '/';
  return signs;
}

Reached joined(const Reached& left, char sign, const Reached& right) {
  const int strength = strength_of(sign);
  const auto in_brackets = [](const Reached& part, bool has) { return has ? "(" + part.text + ")" : part.text; };
  const bool groups_right = right.strength < strength || (right.strength == strength && (sign == '-' || sign == '/'));
  return {applied(sign, left.value, right.value),
          in_brackets(left, left.strength < strength) + sign + in_brackets(right, groups_right), strength};
}

AnswerVerdict judge(std::vector<int64_t> given, int64_t target, const std::string& answer) {
  const size_t equals = answer.find('=');  // "(5+7)*2 = 24" says the same
  const bool names_target = equals != std::string::npos;
  if (names_target &&
      read_expression(answer.substr(equals + 1)).value_or(Expression{}).numbers() != std::vector{target})
    return AnswerVerdict::kUnreadable;
  const std::optional<Expression> expression = read_expression(answer.substr(0, equals));
  if (!expression) return AnswerVerdict::kUnreadable;
  std::vector<int64_t> used = expression->numbers();
  std::sort(used.begin(), used.end());
  std::sort(given.begin(), given.end());
  if (used != given) return AnswerVerdict::kWrong;  // only now is the value known to fit
  const std::optional<Fraction> value = value_of(*expression);
  return value && value->above == target * value->below ? AnswerVerdict::kRight : AnswerVerdict::kWrong;
}

std::string question_of(const std::vector<int64_t>& numbers, int64_t target) {
  std::string text = "Use the numbers ";
  for (size_t i = 0; i < numbers.size(); ++i) {
    text += cat(i == 0 ? "" : i + 1 == numbers.size() ? " and " : ", ", numbers[i]);
  }
  return text + cat(", each exactly once, with + - * / and brackets to make ", target, ".");
}

class Countdown : public ProceduralTasks {
 public:
  Countdown(const CountdownOptions& options, uint64_t seed)
      : ProceduralTasks("countdown", write_fields(options), options.instruction, seed), options_(options) {}

  std::unique_ptr<Episode> start(const Task& task) const override {
    return judge_answer([given = task.metadata.at("numbers").get<std::vector<int64_t>>(),
                         target = task.metadata.at("target").get<int64_t>()](const std::string& answer) {
      return judge(given, target, answer);
    });
  }

 private:
  Task draw(Rng question, Rng /*other*/) const override {
    std::vector<int64_t> numbers;
    std::vector<Reached> pool;
    for (int64_t i = 0; i <= options_.level; ++i) {
      numbers.push_back(draw_int(question, 1, options_.max_number));
      pool.push_back({numbers.back(), cat(numbers.back())});
    }
    const auto take_one = [&] {
      const auto at = pool.begin() + static_cast<int64_t>(question.below(pool.size()));
      const Reached taken = *at;
      pool.erase(at);
      return taken;
    };
    std::string working;
    while (pool.size() > 1) {
      Reached left = take_one();
      Reached right = take_one();
      if (left.value < right.value) std::swap(left, right);
      const std::string signs = possible_signs(left.value, right.value, options_.max_target);
      const char sign = signs[question.below(signs.size())];
      pool.push_back(joined(left, sign, right));
      working += cat(working.empty() ? "" : " ", left.value, sign, right.value, "=", pool.back().value, ".");
    }
    const Reached& solution = pool.front();
    Task task;
    task.messages = {{"user", question_of(numbers, solution.value)}};
    task.reference = solution.text;
    task.metadata = {{"level", options_.level}, {"numbers", numbers}, {"target", solution.value}};
    task.demonstration = cat(working, "\n#### ", solution.text);
    return task;
  }

  CountdownOptions options_;
};

}  // namespace

std::unique_ptr<TaskSource> make_countdown(FieldReader& reader, const EnvContext& context) {
  CountdownOptions options;
  options.visit_fields(reader);
  reader.finish();
  if (options.max_target < options.max_number) {
    const Node* written = reader.node().find("max_target");
    throw ConfigError(cat((written != nullptr ? *written : reader.node()).location.str(), ": task.max_target is ",
                          options.max_target, ", want at least max_number, which is ", options.max_number));
  }
  return std::make_unique<Countdown>(options, context.seed);
}

}  // namespace noregret
