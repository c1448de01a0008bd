#include "tests/support/reward_conformance.h"

namespace noregret {
namespace {

ScoreItem item(const std::string& completion, const std::string& reference) {
  return ScoreItem{"item", "What is 12 - 4?", completion, reference, "{}", "stop"};
}

ScoreItem episode(const std::string& score) {
  return ScoreItem{"item", "Guess.", "#### 4", "4", R"({"episode":{"score":)" + score + R"(,"parts":{"turns":2}}})",
                   "stop"};
}

INSTANTIATE_TEST_SUITE_P(
    Shipped, RewardConformance,
    testing::Values(
        RewardSubject{"exact_match", "{}", item(" eight\n", "eight"), item("seven", "eight")},
        RewardSubject{"gsm8k_answer", "{}", item("12-4=8\n#### 8", "8"), item("12-4=9\n#### 9", "8")},
        RewardSubject{"gsm8k_answer", R"({"strict":false})", item("It is 8.", "8"), item("It is 9.", "8")},
        RewardSubject{"length", R"({"unit":"words","min":1,"max":2})", item("It is", ""), item("It is 8", "")},
        RewardSubject{"length", R"({"min":3,"max":9,"slack":5})", item("12-4=8", ""), item("1", "")},
        RewardSubject{"regex", R"re({"pattern":"#### (\\d+)","equals_reference":true})re", item("#### 9\n#### 8", "8"),
                      item("#### 8\n#### 9", "8")},
        RewardSubject{"regex", R"({"pattern":"^\\d+$","match":"full"})", item("8", ""), item("8 ", "")},
        RewardSubject{"math_answer", "{}", item("so \\boxed{\\sqrt{8}}", "2\\sqrt{2}"),
                      item("so \\boxed{\\sqrt{7}}", "2\\sqrt{2}")},
        RewardSubject{"math_answer", R"({"style":"gsm8k"})", item("12-4=8\n#### 8", "8"), item("12-4=9\n#### 9", "8")},
        RewardSubject{"task", "{}", episode("1"), episode("0.25"), false},
        RewardSubject{"format", "{}", item("12-4=8\n#### 8", "8"), item("It is 8.", "8")}),
    [](const auto& info) { return info.param.plugin + std::to_string(info.index); });

}  // namespace
}  // namespace noregret
