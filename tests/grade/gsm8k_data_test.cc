#include <gtest/gtest.h>

#include <cstdlib>

#include "noregret/base/jsonl.h"
#include "noregret/base/text.h"
#include "noregret/grade/gsm8k.h"

namespace noregret {
namespace {

// Every solution of GSM8K, training and test.
class Gsm8kData : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* data = std::getenv("NOREGRET_TEST_DATA");
    if (data == nullptr) GTEST_SKIP() << "NOREGRET_TEST_DATA is not set";
    for (const JsonLine& row : read_jsonl(fs::path(data) / "gsm8k" / GetParam())) {
      solutions_.push_back(json_string(row.value, "answer", "GSM8K"));
    }
  }
  static std::string gold_of(const std::string& solution) { return solution.substr(solution.rfind("####") + 4); }

  std::vector<std::string> solutions_;
};

TEST_P(Gsm8kData, EverySolutionIsRightByItsOwnGold) {
  for (const std::string& solution : solutions_) {
    EXPECT_EQ(grade_gsm8k(gold_of(solution), solution, false, true).verdict, Verdict::kEqual) << solution;
    EXPECT_EQ(grade_gsm8k(solution, solution, false, false).verdict, Verdict::kEqual) << solution;
    EXPECT_TRUE(ends_in_answer_line(solution, false)) << solution;
  }
}

TEST_P(Gsm8kData, EveryNumberNextToTheGoldIsWrong) {
  for (const std::string& solution : solutions_) {
    const NumberText gold = read_number(gold_of(solution));
    ASSERT_EQ(gold.status, NumberText::Status::kOk) << solution;
    const std::string next = cat(std::stoll(gold.canonical) + 1);
    EXPECT_EQ(grade_gsm8k(gold_of(solution), "#### " + next, false, true).verdict, Verdict::kNotEqual) << solution;
    EXPECT_EQ(grade_gsm8k(gold_of(solution), "#### " + gold.canonical + "0", false, true).verdict,
              gold.canonical == "0" ? Verdict::kEqual : Verdict::kNotEqual)
        << solution;
  }
}

TEST_P(Gsm8kData, LastNumberOfASolutionIsItsGold) {
  for (const std::string& solution : solutions_) {
    const std::string text = solution.substr(0, solution.rfind("####")) + "The answer is" + gold_of(solution) + ".";
    EXPECT_EQ(grade_gsm8k(gold_of(solution), text, false, false).verdict, Verdict::kEqual) << solution;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Gsm8kData, testing::Values("train.jsonl.gz", "test.jsonl.gz"),
                         [](const auto& info) { return info.index == 0 ? "Train" : "Test"; });

}  // namespace
}  // namespace noregret
