#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "noregret/grade/grader.h"

namespace noregret {

inline std::filesystem::path worker_path() {
  return std::filesystem::path(NOREGRET_BUILD_DIR) / "noregret-grade-worker";
}

// One for all tests of the program: its workers start once. The deadline leaves room for a machine under load.
inline const Grader& grader() {
  static const Grader shared(GradeOptions{.deadline_ms = 5000}, worker_path());
  return shared;
}

inline std::string verdict(const std::string& gold, const std::string& prediction,
                           GradeOptions options = {.deadline_ms = 5000}) {
  return std::string(verdict_name(grader().grade(gold, prediction, options).verdict));
}

struct Pair {
  const char* gold;
  const char* prediction;
};

inline void expect_equal(const std::vector<Pair>& pairs, const GradeOptions& options = {.deadline_ms = 5000}) {
  for (const Pair& pair : pairs) {
    EXPECT_EQ(verdict(pair.gold, pair.prediction, options), "equal") << pair.gold << " | " << pair.prediction;
  }
}

// No reward is paid; why is another matter.
inline void expect_rejected(const std::vector<Pair>& pairs, const GradeOptions& options = {.deadline_ms = 5000}) {
  for (const Pair& pair : pairs) {
    const std::string name = verdict(pair.gold, pair.prediction, options);
    EXPECT_NE(name, "equal") << pair.gold << " | " << pair.prediction;
    EXPECT_NE(name, "gold_unparsable") << pair.gold;
    EXPECT_NE(name, "timeout") << pair.gold << " | " << pair.prediction;
    EXPECT_NE(name, "crashed") << pair.gold << " | " << pair.prediction;
  }
}

}  // namespace noregret
