#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "noregret/base/rng.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text_mutator.h"

namespace noregret::fuzz {
namespace {

constexpr int kNumMutants = 4000;  // of each reader: a second or two; `make fuzz` runs a million

struct Target {
  const char* name;
  bool (*run)(std::string_view);
};
const std::vector<Target> kTargets = {{"safetensors", safetensors},
                                      {"json", json},
                                      {"tokenizer", tokenizer},
                                      {"gguf", gguf},
                                      {"yaml", yaml},
                                      {"grader", grader}};

// Every input of a corpus, by name.
std::vector<std::pair<std::string, std::string>> corpus_of(const char* target) {
  std::vector<std::pair<std::string, std::string>> inputs;
  const fs::path folder = fs::path(NOREGRET_SOURCE_DIR) / "tests/fuzz/corpus" / target;
  for (const auto& entry : fs::directory_iterator(folder)) {
    inputs.emplace_back(entry.path().filename().string(), read_file(entry.path()));
  }
  std::sort(inputs.begin(), inputs.end());
  return inputs;
}

class Readers : public testing::TestWithParam<Target> {};

TEST_P(Readers, EveryInputOfTheCorpusIsReadOrRefused) {
  int num_read = 0;
  int num_refused = 0;
  for (const auto& [name, input] : corpus_of(GetParam().name)) {
    SCOPED_TRACE(name);
    EXPECT_NO_THROW(++(GetParam().run(input) ? num_read : num_refused));
  }
  EXPECT_GE(num_read, 2);
  EXPECT_GE(num_refused, 1);
}

TEST_P(Readers, RandomMutantsAreReadOrRefused) {
  const auto inputs = corpus_of(GetParam().name);
  Rng rng(20260127);
  for (int i = 0; i < kNumMutants; ++i) {
    const auto& [name, input] = inputs[rng.below(inputs.size())];
    SCOPED_TRACE(cat(name, ", mutant ", i));
    EXPECT_NO_THROW(GetParam().run(mutated_text(input, rng.next_u64(), 4096)));
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Readers, testing::ValuesIn(kTargets),
                         [](const auto& info) { return std::string(info.param.name); });

// A text that repeats a piece shows what grows faster than its text.
TEST(Replay, NoLongAnswerTakesASecond) {
  for (const auto& [name, input] : corpus_of("grader")) {
    std::string text = input;
    while (!input.empty() && text.size() < 20000) text += input;
    const std::clock_t begin = std::clock();
    grader(text);
    EXPECT_LT(std::clock() - begin, 1 * CLOCKS_PER_SEC) << name;
  }
}

TEST(TextMutator, MostMutantsDifferAndNoneIsTooLong) {
  int num_same = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const std::string mutant = mutated_text("{\"a\":[1,22],\"b\":\"c\"}", seed, 30);
    EXPECT_LE(mutant.size(), 30u);
    num_same += mutant == "{\"a\":[1,22],\"b\":\"c\"}";
  }
  EXPECT_LT(num_same, 100);
}

}  // namespace
}  // namespace noregret::fuzz
