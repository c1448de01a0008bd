#include "envs/calculator/calculator.h"

#include <bit>
#include <numeric>

#include "envs/arithmetic/arithmetic.h"
#include "envs/common/answer_episode.h"
#include "envs/common/expression.h"
#include "envs/common/marked_number.h"
#include "envs/common/task_list.h"

namespace noregret {
namespace {

constexpr std::string_view kCall = "calc ";
constexpr int kMaxBits = 62;  // of what value_of() may reach

std::string last_line(const std::string& text) {
  const std::string whole = trimmed(text);
  return whole.substr(whole.rfind('\n') + 1);  // npos + 1 = 0
}

// "396", "7/2"; nothing for what is no expression, too large, or divides by zero.
std::optional<std::string> calculated(std::string_view text) {
  const std::optional<Expression> expression = read_expression(text);
  if (!expression) return std::nullopt;
  int bits = 0;
  for (const int64_t number : expression->numbers()) bits += std::bit_width(static_cast<uint64_t>(number)) + 1;
  if (bits > kMaxBits) return std::nullopt;
  const std::optional<Fraction> value = value_of(*expression);
  if (!value) return std::nullopt;
  const int64_t divisor = std::gcd(value->above, value->below) * (value->below < 0 ? -1 : 1);
  const int64_t above = value->above / divisor;
  const int64_t below = value->below / divisor;
  return below == 1 ? cat(above) : cat(above, "/", below);
}

class CalculatorEpisode : public Episode {
 public:
  CalculatorEpisode(int64_t result, int64_t max_turns) : result_(result), max_turns_(max_turns) {}

  StepResult step(const Turn& turn) override {
    ++num_turns_;
    const std::string line = last_line(turn.text);
    StepResult step;
    std::string answer;
    if (line.starts_with(kCall)) {
      const std::optional<std::string> value = calculated(std::string_view(line).substr(kCall.size()));
      value ? ++num_calls_ : ++num_bad_calls_;
      answer = value ? *value + "\n" : "The calculator cannot read that.\n";
    } else if (answer_of(turn)) {
      step.is_terminated = true;
      step.score = marked_number(turn) == result_ ? 1.0 : 0.0;
    } else {
      ++num_bad_calls_;
      answer = "Write calc and what to work out. Or #### and the result.\n";
    }
    step.parts = {{"right", step.score},
                  {"calls", static_cast<double>(num_calls_)},
                  {"bad_calls", static_cast<double>(num_bad_calls_)}};
    if (!step.is_terminated) step.messages = {{"user", answer}};
    if (turn.is_cut) step.truncate(StopReason::kMaxTokens);
    if (num_turns_ == max_turns_) step.truncate(StopReason::kMaxTurns);
    return step;
  }

 private:
  int64_t result_, max_turns_;
  int64_t num_turns_ = 0;
  int64_t num_calls_ = 0;
  int64_t num_bad_calls_ = 0;
};

class Calculator : public TaskSource {
 public:
  Calculator(const CalculatorOptions& options, std::unique_ptr<TaskSource> problems)
      : options_(options), problems_(std::move(problems)) {}

  int64_t size(Split split) const override { return problems_->size(split); }

  Task get(Split split, int64_t index) const override {
    Task task = problems_->get(split, index);
    task.id = cat("calculator/", split_name(split), "/", index);
    task.demonstration.reset();  // without the tool
    task.metadata["max_turns"] = options_.max_turns;
    return task;
  }

  std::unique_ptr<Episode> start(const Task& task) const override {
    return std::make_unique<CalculatorEpisode>(std::stoll(task.reference), options_.max_turns);
  }

  std::string digest() const override { return sha256_hex("calculator 1 " + dump_json(write_fields(options_))); }

 private:
  CalculatorOptions options_;
  std::unique_ptr<TaskSource> problems_;
};

}  // namespace

std::unique_ptr<TaskSource> make_calculator(FieldReader& reader, const EnvContext& context) {
  CalculatorOptions options;
  options.visit_fields(reader);
  reader.finish();
  const ArithmeticOptions problems{options.level, options.max_number, options.operators, options.instruction};
  return std::make_unique<Calculator>(options, make_arithmetic(problems, context.seed));
}

}  // namespace noregret
