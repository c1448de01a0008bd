#include "noregret/reward/sdk.h"

#include <gmock/gmock.h>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/reward/sdk_options.h"
#include "tests/reward/reward_support.h"

namespace noregret {
namespace {

using reward_support::load;
using reward_support::score_one;
using testing::HasSubstr;

// ---- abi.h

TEST(Abi, LayoutIsThatOfVersionOne) {  // of 64-bit Linux; a change here breaks every plugin that exists
  EXPECT_EQ(sizeof(noregret_item), 104u);
  EXPECT_EQ(offsetof(noregret_item, completion), 40u);
  EXPECT_EQ(offsetof(noregret_item, finish_reason_size), 96u);
  EXPECT_EQ(sizeof(noregret_part), 64u);
  EXPECT_EQ(offsetof(noregret_part, name), 16u);
  EXPECT_EQ(sizeof(noregret_result), 64u);
  EXPECT_EQ(offsetof(noregret_result, num_parts), 56u);
  EXPECT_EQ(sizeof(noregret_error), 32u);
  EXPECT_EQ(sizeof(noregret_plugin), 72u);
  EXPECT_EQ(offsetof(noregret_plugin, destroy), 64u);
}

TEST(Abi, FieldIsThereOnlyWithinTheSize) {
  noregret_item item{};
  item.size = sizeof item;
  EXPECT_TRUE(NOREGRET_HAS(&item, noregret_item, finish_reason_size));
  item.size = sizeof item - 8;
  EXPECT_FALSE(NOREGRET_HAS(&item, noregret_item, finish_reason_size));
  EXPECT_TRUE(NOREGRET_HAS(&item, noregret_item, finish_reason));
}

class Length {
 public:
  static constexpr const char* kName = "length";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 100.0;
  static constexpr uint32_t kFlags = NOREGRET_DETERMINISTIC | NOREGRET_THREAD_SAFE;
  sdk::Score score(const sdk::Item& item) const {
    const double length = static_cast<double>(item.completion.size());
    return {length, {{"length", length}}};
  }
};

// A host of a later minor version: its structs have grown.
struct LaterItem {
  noregret_item item;
  uint64_t more[3];
};
struct LaterPart {
  noregret_part part;
  uint64_t more;
};
struct LaterResult {
  noregret_result result;
  uint64_t more[2];
};

TEST(Abi, PluginStepsByTheHostsSizes) {
  LaterItem items[3] = {};
  LaterResult results[3] = {};
  LaterPart parts[3][2] = {};
  for (size_t i = 0; i < 3; ++i) {
    items[i].item.size = sizeof(LaterItem);
    items[i].item.completion = "abcdef";
    items[i].item.completion_size = i + 1;
    for (LaterPart& part : parts[i]) part.part.size = sizeof(LaterPart);
    results[i].result.size = sizeof(LaterResult);
    results[i].result.parts = &parts[i][0].part;
    results[i].result.parts_capacity = 2;
    results[i].more[0] = 7;
  }
  Length length;
  sdk::score<Length>(&length, &items[0].item, 3, &results[0].result);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(results[i].result.status, uint32_t{NOREGRET_OK});
    EXPECT_EQ(results[i].result.reward, static_cast<double>(i + 1));
    EXPECT_EQ(parts[i][0].part.value, static_cast<double>(i + 1));
    EXPECT_EQ(results[i].more[0], 7u);
  }
}

// ---- sdk.h

TEST(PutText, CutsBetweenCharacters) {
  char buffer[5];
  EXPECT_EQ(sdk::put_text("abc", buffer, 5), 3u);
  EXPECT_EQ(sdk::put_text("abcdefg", buffer, 5), 5u);
  EXPECT_EQ(sdk::put_text("abcd\xC3\xA9", buffer, 5), 4u);  // U+00E9 does not fit
  EXPECT_EQ(sdk::put_text("abc\xC3\xA9"
                          "d",
                          buffer, 5),
            5u);
  EXPECT_EQ(sdk::put_text("\xF0\x9F\x98\x80", buffer, 3), 0u);
  EXPECT_EQ(sdk::put_text("abc", buffer, 0), 0u);
  EXPECT_EQ(sdk::put_text("", nullptr, 0), 0u);
}

TEST(Describe, IsWhatTheClassSays) {
  constexpr noregret_plugin plugin = sdk::describe<Length>();
  EXPECT_EQ(plugin.size, sizeof(noregret_plugin));
  EXPECT_EQ(plugin.magic, NOREGRET_PLUGIN_MAGIC);
  EXPECT_STREQ(plugin.name, "length");
  EXPECT_EQ(plugin.max_reward, 100.0);
}

TEST(Sdk, ExceptionFailsItsItemAlone) {
  const Plugin plugin = load("sdk_faults");
  std::vector<ScoreItem> items(3, reward_support::item("fine"));
  items[1] = ScoreItem{"gsm8k/train/7#3", "", "throw std", "", "{}", "stop"};
  const std::vector<ComponentScore> scores = plugin.score(items);
  EXPECT_EQ(scores[0].score, 1.0);
  EXPECT_EQ(scores[1].status, ScoreStatus::kFailed);
  EXPECT_EQ(scores[1].error, "cannot judge gsm8k/train/7#3");
  EXPECT_EQ(scores[2].score, 1.0);
}

TEST(Sdk, ExceptionOfAnyTypeIsCaught) {
  EXPECT_THAT(score_one(load("sdk_faults"), "throw int").error, HasSubstr("no std::exception"));
}

TEST(Sdk, LongTextIsCutToTheBuffer) {
  EXPECT_EQ(score_one(load("sdk_faults"), "throw long").error, std::string(512, 'x'));
}

TEST(Sdk, TooManyOrTooLongPartsAreAFailure) {
  EXPECT_THAT(score_one(load("sdk_faults"), "many parts").error, HasSubstr("more parts"));
  EXPECT_THAT(score_one(load("sdk_faults"), "long part name").error, HasSubstr("too long"));
}

TEST(Sdk, PluginSeesTheWholeItem) {
  const ScoreItem item{"id", "12", "what it sees", "1234", R"({"a":1})", "length"};
  const std::vector<PartScore> parts = load("sdk_faults").score({&item, 1}).at(0).parts;
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].value, 2.0);
  EXPECT_EQ(parts[1].value, 4.0);
  EXPECT_EQ(parts[2].value, 7.0);
  EXPECT_EQ(parts[3].value, 1.0);
}

// ---- sdk_options.h

struct Options {
  using HasFieldsTag = void;
  bool strict = true;
  double tolerance = 0.0;
  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("strict", strict, "");
    v("tolerance", tolerance, Range{0.0, 1.0}, "");
  }
};

std::string options_error(const std::string& json) {
  try {
    sdk::read_options<Options>(json);
  } catch (const Error& e) {
    return e.what();
  }
  ADD_FAILURE() << "no error: " << json;
  return "";
}

TEST(ReadOptions, AbsentKeysKeepTheirDefaults) {
  const Options options = sdk::read_options<Options>(R"({"tolerance":0.5})");
  EXPECT_TRUE(options.strict);
  EXPECT_EQ(options.tolerance, 0.5);
  EXPECT_FALSE(sdk::read_options<Options>(R"({"strict":false})").strict);
}

TEST(ReadOptions, UnknownKeyIsAnErrorWithAHint) {
  EXPECT_THAT(options_error(R"({"stric":true})"),
              testing::AllOf(HasSubstr("unknown key 'stric'"), HasSubstr("did you mean 'strict'?")));
}

TEST(ReadOptions, TypeAndRangeAreChecked) {
  EXPECT_THAT(options_error(R"({"strict":"perhaps"})"), HasSubstr("strict"));
  EXPECT_THAT(options_error(R"({"tolerance":2})"), HasSubstr("0 to 1"));
}

TEST(ReadOptions, OnlyAnObjectHoldsOptions) {
  for (const char* json : {"", "{", "[]", "7", "null", "{} {}", R"({"strict":true,"strict":false})"})
    EXPECT_NE(options_error(json), "") << json;
}

}  // namespace
}  // namespace noregret
