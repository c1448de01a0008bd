#include "reward/message.h"

#include <gmock/gmock.h>

#include <set>

#include "noregret/base/error.h"
#include "tests/reward/reward_support.h"

namespace noregret {
namespace {

using reward_support::item;

TEST(RewardMessage, BareNanAndInfinityReadAsNull) {
  EXPECT_EQ(dump_json(parse_reply(R"({"a":NaN,"b":[Infinity,-Infinity],"c":-1})")),
            R"({"a":null,"b":[null,null],"c":-1})");
}

TEST(RewardMessage, TheseWordsInTextsStay) {
  const char* text = R"({"a":"NaN \" -Infinity \\","b":NaN})";
  EXPECT_EQ(dump_json(parse_reply(text)), R"({"a":"NaN \" -Infinity \\","b":null})");
}

TEST(RewardMessage, OtherGarbageIsRefused) {
  for (const char* text : {"", "{", "nan", "{\"a\":NaNa}", "{\"a\":1}{", "[1,]", "{\"a\":1,\"a\":2}", "\"\xFF\""}) {
    EXPECT_THROW(parse_reply(text), DataError) << text;
  }
  EXPECT_THROW(parse_reply(std::string(100000, '[')), DataError);
}

TEST(RewardMessage, ItemsComeBackAsTheyWere) {
  std::vector<ScoreItem> items = {item("a\n\"b\"", "ref")};
  items[0].metadata_json = R"({"level":3,"text":"x"})";
  items[0].finish_reason = "length";
  const std::vector<ScoreItem> back = read_items(parse_reply(dump_json(items_message(items))));
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].id, items[0].id);
  EXPECT_EQ(back[0].prompt, items[0].prompt);
  EXPECT_EQ(back[0].completion, items[0].completion);
  EXPECT_EQ(back[0].reference, items[0].reference);
  EXPECT_EQ(back[0].metadata_json, items[0].metadata_json);
  EXPECT_EQ(back[0].finish_reason, items[0].finish_reason);
}

TEST(RewardMessage, EveryKindOfFailureComesBack) {
  const std::vector<ScoreItem> items = {item("x")};
  for (int kind = static_cast<int>(FailureKind::kFailed); kind <= static_cast<int>(FailureKind::kHttpStatus); ++kind) {
    const std::vector<ComponentScore> scores = {failed_score(static_cast<FailureKind>(kind), "why")};
    const ComponentScore back = read_results(results_message(items, scores), items, 0.0, 1.0).at(0);
    EXPECT_EQ(back.kind, scores[0].kind);
    EXPECT_EQ(back.error, "why");
    EXPECT_EQ(back.status, ScoreStatus::kFailed);
  }
}

TEST(RewardMessage, ErrorIsOneLineOfUtf8AndNotEndless) {
  const std::vector<ScoreItem> items = {item("x")};
  const Json reply = {{"results", {{{"id", "item"}, {"error", "a\nb" + std::string(100000, 'x')}}}}};
  const ComponentScore score = read_results(reply, items, 0.0, 1.0).at(0);
  EXPECT_EQ(score.error.find('\n'), std::string::npos);
  EXPECT_LT(score.error.size(), 1000u);
}

TEST(RewardMessage, FailureThatCallsItselfNoneIsAFailure) {
  const std::vector<ScoreItem> items = {item("x")};
  for (const char* kind : {"none", "no such kind", ""}) {
    const Json reply = {{"results", {{{"id", "item"}, {"error", "why"}, {"kind", kind}}}}};
    EXPECT_EQ(read_results(reply, items, 0.0, 1.0).at(0).kind, FailureKind::kFailed) << kind;
  }
}

TEST(RewardMessage, NoncesDiffer) {
  std::set<std::string> nonces;
  for (int i = 0; i < 1000; ++i) nonces.insert(make_nonce());
  EXPECT_EQ(nonces.size(), 1000u);
  EXPECT_EQ(nonces.begin()->size(), 32u);
}

}  // namespace
}  // namespace noregret
