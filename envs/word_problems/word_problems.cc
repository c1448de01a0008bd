#include "envs/word_problems/word_problems.h"

#include <algorithm>

#include "envs/common/procedural.h"

namespace noregret {
namespace {

struct Person {
  const char* name;
  const char* pronoun;
};
constexpr Person kPeople[] = {{"Ann", "She"}, {"Ben", "He"}, {"Eva", "She"}, {"Max", "He"},
                              {"Mia", "She"}, {"Sam", "He"}, {"Tom", "He"},  {"Zoe", "She"}};
constexpr const char* kThings[] = {"apples", "books", "cards", "coins", "cups", "pens", "shells", "stamps"};
constexpr const char* kGains[] = {"buys", "finds", "gets", "wins"};
constexpr const char* kLosses[] = {"drops", "gives away", "loses", "sells"};

struct Step {
  char sign;  // '+' or '-'
  int64_t amount;
};

struct Story {
  std::string question;
  int64_t start = 0;
  std::vector<Step> steps;
};

int64_t apply(int64_t value, const Step& step) { return step.sign == '+' ? value + step.amount : value - step.amount; }

int64_t answer_of(const Story& story) {
  int64_t value = story.start;
  for (const Step& step : story.steps) value = apply(value, step);
  return value;
}

// "5 pens", "1 pen".
std::string count_of(int64_t number, const std::string& things) {
  return cat(number, " ", number == 1 ? things.substr(0, things.size() - 1) : things);
}

// A step from `value` that stays within 0 .. 3 * max_number.
Step draw_step(int64_t value, int64_t max_number, Rng& rng) {
  const int64_t most_gain = std::min(max_number, 3 * max_number - value);
  const int64_t most_loss = std::min(max_number, value);
  const bool is_gain = most_loss == 0 || (most_gain > 0 && rng.below(2) == 0);
  const int64_t most = is_gain ? most_gain : most_loss;
  return Step{is_gain ? '+' : '-', 1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(most)))};
}

// Either all steps happen to one person, or the last one compares with, or adds, what a second person has.
Story draw_story(const WordProblemOptions& options, Rng rng) {
  Story story;
  const Person& person = pick(kPeople, rng);
  const std::string things = pick(kThings, rng);
  const bool has_friend = rng.below(3) == 0;
  story.start = 1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(options.max_number)));
  int64_t value = story.start;
  story.question = cat(person.name, " has ", count_of(value, things), ".");
  for (int64_t i = 0; i < options.level; ++i) {
    const Step step = draw_step(value, options.max_number, rng);
    const bool is_gain = step.sign == '+';
    if (has_friend && i + 1 == options.level) {
      const Person* other = &pick(kPeople, rng);
      if (other == &person) other = &kPeople[(&person - kPeople + 1) % std::size(kPeople)];
      story.question += cat(" ", other->name, " has ", count_of(step.amount, things), ".");
      story.question += is_gain ? cat(" How many ", things, " do they have?")
                                : cat(" How many more ", things, " does ", person.name, " have?");
    } else if (is_gain) {
      story.question += cat(" ", person.pronoun, " ", pick(kGains, rng), " ", step.amount, " more.");
    } else {
      story.question += cat(" ", person.pronoun, " ", pick(kLosses, rng), " ", step.amount, ".");
    }
    story.steps.push_back(step);
    value = apply(value, step);
  }
  if (!has_friend)
    story.question += cat(" How many ", things, " does ", person.pronoun[0] == 'S' ? "she" : "he", " have?");
  story.question += "\n";
  return story;
}

// The last number of the story that is not the answer; where every number is, one more than it.
int64_t wrong_number(const Story& story) {
  const int64_t answer = answer_of(story);
  for (auto step = story.steps.rbegin(); step != story.steps.rend(); ++step) {
    if (step->amount != answer) return step->amount;
  }
  return story.start != answer ? story.start : answer + 1;
}

// "5+7=12. 12-4=8." and the result. With `slip_step` >= 0 that step's result is `slip` off, and the rest follows from
// it.
std::pair<std::string, int64_t> work_out(const Story& story, int64_t slip_step, int64_t slip) {
  std::string text;
  int64_t value = story.start;
  for (size_t i = 0; i < story.steps.size(); ++i) {
    const Step& step = story.steps[i];
    int64_t result = apply(value, step);
    if (static_cast<int64_t>(i) == slip_step) result += slip;
    text += cat(i > 0 ? " " : "", value, step.sign, step.amount, "=", result, ".");
    value = result;
  }
  return {text, value};
}

// Would one less at step `slip_step` make a later number negative?
bool is_low(const Story& story, int64_t slip_step) {
  int64_t value = story.start;
  for (size_t i = 0; i < story.steps.size(); ++i) {
    value = apply(value, story.steps[i]);
    if (static_cast<int64_t>(i) >= slip_step && value == 0) return true;
  }
  return false;
}

std::string demonstrate(const Story& story, const SloppyShares& sloppy, Rng rng) {
  const double draw = rng.uniform();
  if (draw < sloppy.guess) return cat("#### ", wrong_number(story));
  int64_t slip_step = -1;
  int64_t slip = 0;
  if (draw >= sloppy.guess && draw < sloppy.guess + sloppy.slip) {
    slip_step = static_cast<int64_t>(rng.below(story.steps.size()));
    slip = rng.below(2) == 0 || is_low(story, slip_step) ? 1 : -1;
  }
  const auto [working, result] = work_out(story, slip_step, slip);
  const double lower = sloppy.guess + sloppy.slip;
  if (draw >= lower && draw < lower + sloppy.no_answer) return working;
  return cat(working, "\n#### ", result);
}

class WordProblems : public ProceduralTasks {
 public:
  WordProblems(const WordProblemOptions& options, uint64_t seed)
      : ProceduralTasks("word_problems", write_fields(options), "", seed), options_(options) {}

 private:
  Task draw(Rng question, Rng other) const override {
    const Story story = draw_story(options_, question);
    Task task;
    task.messages = {{"user", story.question}};
    task.reference = cat(answer_of(story));
    task.metadata["level"] = options_.level;
    task.metadata["steps"] = story.steps.size();
    task.demonstration = demonstrate(story, options_.sloppy, other);
    return task;
  }

  WordProblemOptions options_;
};

}  // namespace

std::unique_ptr<TaskSource> make_word_problems(FieldReader& reader, const EnvContext& context) {
  WordProblemOptions options;
  options.visit_fields(reader);
  reader.finish();
  const double sum = options.sloppy.guess + options.sloppy.slip + options.sloppy.no_answer;
  if (sum > 1.0 + 1e-9) {
    const Node* written = reader.node().find("sloppy");
    throw ConfigError(cat((written != nullptr ? *written : reader.node()).location.str(),
                          ": task.sloppy has shares that sum to ", sum, ", want at most 1; what is left is right"));
  }
  return std::make_unique<WordProblems>(options, context.seed);
}

}  // namespace noregret
