// Cases of public graders' own test suites, and others, where NOREGRET_TEST_DATA has a folder grader-cases beside it.
#include <cstdlib>
#include <set>

#include "noregret/base/jsonl.h"
#include "tests/grade/grading.h"

namespace noregret {
namespace {

struct Tally {
  int num_cases = 0;
  int num_right = 0;
  std::vector<std::string> false_accepts;
  std::vector<std::string> others;
  double share() const { return static_cast<double>(num_right) / num_cases; }
};

std::string text_of(const Json& row, const char* key) {
  return row[key].is_null() ? std::string() : row[key].get<std::string>();
}

bool is_policy(const Json& row) {
  const auto is_set = [&](const char* key) { return row.contains(key) && !row[key].is_null() && row[key] != false; };
  return row["expected"].is_null() || is_set("policy") || is_set("label_suspect");
}

Tally tally(const fs::path& file, bool is_completion, const GradeOptions& options) {
  Tally tally;
  for (const JsonLine& line : read_jsonl(file)) {
    const Json& row = line.value;
    if (row["kind"] != "grade" || is_policy(row)) continue;
    const std::string gold = text_of(row, "gold");
    const std::string prediction = text_of(row, "prediction");
    const Grade grade = is_completion
                            ? grader().grade_completion(gold, prediction, lenient_extraction(), false, options)
                            : grader().grade(gold_answer(gold), bare_answer(prediction), options);
    const bool is_equal = grade.verdict == Verdict::kEqual;
    ++tally.num_cases;
    if (is_equal == row["expected"].get<bool>()) {
      ++tally.num_right;
    } else {
      (is_equal ? tally.false_accepts : tally.others).push_back(gold + " | " + prediction);
    }
  }
  return tally;
}

struct Source {
  const char* file;
  bool is_completion;
  bool require_reduced;
  double least_share;  // 0: only false accepts count
};

void PrintTo(const Source& source, std::ostream* out) { *out << source.file; }

class GraderCases : public testing::TestWithParam<Source> {};

TEST_P(GraderCases, HaveNoFalseAcceptAndFewFalseRejects) {
  const char* data = std::getenv("NOREGRET_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "NOREGRET_TEST_DATA is not set";
  const fs::path file = fs::path(data) / ".." / "grader-cases" / GetParam().file;
  if (!fs::exists(file)) GTEST_SKIP() << "no grader-cases beside NOREGRET_TEST_DATA";
  GradeOptions options{.require_reduced = GetParam().require_reduced, .deadline_ms = 5000};
  const Tally result = tally(file, GetParam().is_completion, options);
  EXPECT_GT(result.num_cases, 0);
  EXPECT_THAT(result.false_accepts, testing::IsEmpty());
  EXPECT_GE(result.share(), GetParam().least_share) << testing::PrintToString(result.others);
}

INSTANTIATE_TEST_SUITE_P(
    Of, GraderCases,
    testing::Values(Source{"gsm8k_openai_samples.dev.jsonl.gz", true, false, 1.0},
                    Source{"math_gold_pairs.dev.jsonl.gz", false, false, 0.998},
                    Source{"probes.dev.jsonl", false, false, 0.97},
                    Source{"hendrycks_math.dev.jsonl", false, true, 0.95},
                    Source{"tinker_cookbook.dev.jsonl", false, true, 0.95}, Source{"slime.dev.jsonl", true, true, 0.95},
                    Source{"math_verify.dev.jsonl", true, false, 0.85},
                    Source{"issue_reports.dev.jsonl", true, false, 0.95}, Source{"areal.dev.jsonl", true, false, 0.0},
                    Source{"dart_math.dev.jsonl", false, false, 0.0}, Source{"lighteval.dev.jsonl", true, false, 0.0},
                    Source{"nemo_skills.dev.jsonl", false, false, 0.95}, Source{"nemo_rl.dev.jsonl", true, false, 0.0},
                    Source{"trl.dev.jsonl", true, false, 0.0}, Source{"verifiers.dev.jsonl", true, false, 0.0},
                    Source{"open_r1.dev.jsonl", true, false, 0.0}, Source{"skyrl_gsm8k.dev.jsonl", true, false, 0.0}),
    [](const auto& info) {
      const std::string name = info.param.file;
      return name.substr(0, name.find('.'));
    });

}  // namespace
}  // namespace noregret
