#include "envs/guess_number/guess_number.h"

#include "envs/common/marked_number.h"
#include "envs/common/procedural.h"

namespace noregret {
namespace {

class GuessEpisode : public Episode {
 public:
  GuessEpisode(int64_t secret, int64_t max_turns) : secret_(secret), max_turns_(max_turns) {}

  StepResult step(const Turn& turn) override {
    const std::optional<int64_t> guess = marked_number(turn);
    const bool is_found = guess == secret_;
    ++num_turns_;
    num_unreadable_ += guess ? 0 : 1;
    StepResult result;
    result.score = is_found ? 1.0 : 0.0;
    result.parts = {{"found", result.score},
                    {"turns", static_cast<double>(num_turns_)},
                    {"unreadable", static_cast<double>(num_unreadable_)}};
    result.is_terminated = is_found;
    if (!is_found) result.messages = {{"user", answer(guess)}};
    if (turn.is_cut) result.truncate(StopReason::kMaxTokens);
    if (num_turns_ == max_turns_) result.truncate(StopReason::kMaxTurns);
    return result;
  }

 private:
  std::string answer(const std::optional<int64_t>& guess) const {
    if (!guess) return "I see no number. Write #### and then the number.\n";
    return *guess < secret_ ? "The number is larger.\n" : "The number is smaller.\n";
  }

  int64_t secret_, max_turns_;
  int64_t num_turns_ = 0;
  int64_t num_unreadable_ = 0;
};

class GuessNumber : public ProceduralTasks {
 public:
  GuessNumber(const GuessNumberOptions& options, uint64_t seed)
      : ProceduralTasks("guess_number", write_fields(options), options.instruction, seed), options_(options) {}

  std::unique_ptr<Episode> start(const Task& task) const override {
    return std::make_unique<GuessEpisode>(std::stoll(task.reference), options_.max_turns);
  }

 private:
  Task draw(Rng question, Rng other) const override {
    const int64_t low = draw_int(question, 1, options_.max_low);
    const int64_t high = low + options_.numbers - 1;
    const int64_t turns = options_.max_turns;
    Task task;
    task.messages = {{"user", cat("I think of a number from ", low, " to ", high, ". Guess it in ", turns,
                                  turns == 1 ? " turn.\n" : " turns.\n")}};
    task.reference = cat(draw_int(other, low, high));
    task.demonstration = cat("#### ", draw_int(other, low, high));
    task.metadata = Json{{"low", low}, {"high", high}, {"max_turns", turns}};
    return task;
  }

  GuessNumberOptions options_;
};

}  // namespace

std::unique_ptr<TaskSource> make_guess_number(FieldReader& reader, const EnvContext& context) {
  GuessNumberOptions options;
  options.visit_fields(reader);
  reader.finish();
  return std::make_unique<GuessNumber>(options, context.seed);
}

}  // namespace noregret
