#include "envs/letter_counting/letter_counting.h"

#include <algorithm>

#include "envs/common/procedural.h"

namespace noregret {
namespace {

constexpr const char* kWords[] = {
    "accordion",   "address",  "afternoon", "alphabet",  "ambulance",  "anniversary", "apple",      "asparagus",
    "assessment",  "avocado",  "balloon",   "banana",    "beginning",  "blueberry",   "bookkeeper", "bottle",
    "breeze",      "broccoli", "butterfly", "cabbage",   "calendar",   "candle",      "carrot",     "cathedral",
    "cheese",      "cherry",   "cinnamon",  "coffee",    "committee",  "compass",     "cottage",    "cranberry",
    "cucumber",    "daffodil", "dinner",    "dolphin",   "donkey",     "elephant",    "engine",     "envelope",
    "evening",     "feather",  "fellow",    "festival",  "firefly",    "flamingo",    "forest",     "garlic",
    "giraffe",     "glasses",  "grammar",   "grass",     "guitar",     "hammer",      "happiness",  "harbor",
    "hazelnut",    "hello",    "hippo",     "honey",     "horizon",    "island",      "jelly",      "journey",
    "kangaroo",    "kettle",   "kitchen",   "ladder",    "lantern",    "lemon",       "letter",     "library",
    "lobster",     "magnet",   "mammal",    "market",    "melon",      "messenger",   "millennium", "mirror",
    "mississippi", "mountain", "mushroom",  "necessary", "noodle",     "november",    "ocean",      "onion",
    "orange",      "parallel", "parrot",    "peach",     "pepper",     "piano",       "pineapple",  "possess",
    "pottery",     "pumpkin",  "puzzle",    "rabbit",    "raspberry",  "referee",     "river",      "saddle",
    "sandwich",    "sausage",  "scissors",  "seventeen", "sheep",      "spinach",     "squirrel",   "strawberry",
    "success",     "summer",   "sunflower", "teaspoon",  "tennessee",  "thunder",     "tomato",     "tunnel",
    "umbrella",    "vanilla",  "violin",    "wallpaper", "watermelon", "weather",     "window",     "zeppelin",
};

std::string draw_text(int64_t num_words, Rng& rng) {
  std::string text = pick(kWords, rng);
  for (int64_t i = 1; i < num_words; ++i) text += cat(" ", pick(kWords, rng));
  return text;
}

char draw_letter(const std::string& text, Rng& rng) {
  if (rng.below(4) == 0) return static_cast<char>('a' + rng.below(26));
  while (true) {
    const char letter = text[rng.below(text.size())];
    if (letter != ' ') return letter;
  }
}

// "s, t, r (1), a, w, b, e, r (2), r (3), y."
std::string spelled(const std::string& text, char letter) {
  std::string spelling;
  int64_t count = 0;
  for (const char c : text) {
    if (c == ' ') continue;
    spelling += cat(spelling.empty() ? "" : ", ", c);
    if (c == letter) spelling += cat(" (", ++count, ")");
  }
  return spelling + ".";
}

class LetterCounting : public ProceduralTasks {
 public:
  LetterCounting(const LetterCountingOptions& options, uint64_t seed)
      : ProceduralTasks("letter_counting", write_fields(options), options.instruction, seed), options_(options) {}

 private:
  Task draw(Rng question, Rng /*other*/) const override {
    const std::string text = draw_text(options_.level, question);
    const char letter = draw_letter(text, question);
    Task task;
    task.messages = {{"user", cat("How many times does the letter ", letter, " stand in \"", text, "\"?")}};
    task.reference = cat(std::count(text.begin(), text.end(), letter));
    task.metadata = {{"level", options_.level}, {"letter", std::string(1, letter)}, {"text", text}};
    task.demonstration = cat(spelled(text, letter), "\n#### ", task.reference);
    return task;
  }

  LetterCountingOptions options_;
};

}  // namespace

std::unique_ptr<TaskSource> make_letter_counting(FieldReader& reader, const EnvContext& context) {
  LetterCountingOptions options;
  options.visit_fields(reader);
  reader.finish();
  return std::make_unique<LetterCounting>(options, context.seed);
}

}  // namespace noregret
