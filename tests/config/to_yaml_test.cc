#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/base/rng.h"
#include "noregret/config/yaml.h"

namespace noregret {
namespace {

Json round_trip(const Json& value) { return parse_yaml(to_yaml(value), "out.yaml").to_json(); }

TEST(ToYaml, WritesBlocks) {
  const Json value = {{"a", 1}, {"b", {{"c", "x"}, {"d", true}}}, {"e", {1.5, "none"}}};
  EXPECT_EQ(to_yaml(value), "a: 1\nb:\n  c: x\n  d: true\ne:\n  - 1.5\n  - none\n");
}

TEST(ToYaml, KeepsTheTypeOfEveryText) {
  for (const char* text : {"1e3",
                           "none",
                           "true",
                           "false",
                           "True",
                           "yes",
                           "",
                           " ",
                           "a: b",
                           "#x",
                           "a #b",
                           "a#b",
                           "null",
                           "Null",
                           "NULL",
                           "~",
                           "5",
                           "-5",
                           "+5",
                           "0x1F",
                           "017",
                           "1_000",
                           ".5",
                           "5.",
                           ".inf",
                           "nan",
                           "- a",
                           "-",
                           "--- a",
                           "...",
                           "? a",
                           "?",
                           ":",
                           "a:",
                           "[a]",
                           "[",
                           "{a: 1}",
                           "}",
                           ",",
                           "&a",
                           "*a",
                           "!a",
                           "!!str",
                           "%a",
                           "@a",
                           "`a",
                           "'",
                           "\"",
                           "'a'",
                           "\"a\"",
                           "|",
                           ">",
                           "a\nb",
                           "\n",
                           "a\n",
                           "\ta",
                           "a\t",
                           " a",
                           "a ",
                           "a\\b",
                           "\\",
                           "\x1b[0m",
                           "\x7f",
                           "\xc2\x85",
                           "\xe2\x80\xa8",
                           "\xef\xbb\xbf",
                           "\xc3\xbc",
                           "\xf0\x9f\x98\x80",
                           "<<",
                           "=",
                           "2001-01-01",
                           "12:30",
                           "/a/b c/d",
                           "http://x/y"}) {
    EXPECT_EQ(round_trip(Json(text)), Json(text)) << text;
    EXPECT_EQ(round_trip(Json{{"k", text}}), (Json{{"k", text}})) << text;
    EXPECT_EQ(round_trip(Json::array({text, text})), Json::array({text, text})) << text;
    if (*text == 0) continue;  // no key is empty
    EXPECT_EQ(round_trip(Json{{text, 1}}), (Json{{text, 1}})) << text;
  }
}

TEST(ToYaml, KeepsEveryNumber) {
  for (const double number : {0.1, 1.0, -0.0, 1e-8, 1e300, 5e-324, 123456789.125, 0.95, -2.5e-7}) {
    const Json back = round_trip(Json{{"x", number}});
    EXPECT_EQ(back["x"].get<double>(), number);
    EXPECT_TRUE(back["x"].is_number_float()) << number;
  }
  EXPECT_EQ(round_trip(Json{{"x", UINT64_MAX}}).dump(), R"({"x":18446744073709551615})");
  EXPECT_EQ(round_trip(Json{{"x", INT64_MIN}}).dump(), R"({"x":-9223372036854775808})");
}

TEST(ToYaml, KeepsEmptyMapsListsAndNull) {
  const Json value = {
      {"a", Json::object()}, {"b", Json::array()}, {"c", nullptr}, {"d", {Json::array({nullptr, Json::object()})}}};
  EXPECT_EQ(round_trip(value), value);
}

std::string random_text(Rng& rng) {
  static const std::vector<std::string> pieces = {
      "a", "1", " ", ":", "#", "-", "'", "\"", "\\", "\n", "\t",           "{",   "]", ",", "\xc3\xbc", "!",
      "%", "~", ".", "e", "|", ">", "?", "&",  "*",  "@",  "\xe2\x80\xa8", "\x7f"};
  std::string text;
  for (uint64_t length = rng.below(6); length > 0; --length) text += pieces[rng.below(pieces.size())];
  return text;
}

Json random_value(Rng& rng, int depth) {
  const uint64_t kind = rng.below(depth > 0 ? 6 : 4);
  if (kind == 0) return static_cast<int64_t>(rng.next_u64());
  if (kind == 1) return rng.uniform(-1e6, 1e6);
  if (kind == 2) return rng.below(2) == 0;
  if (kind == 3) return random_text(rng);
  Json value = kind == 4 ? Json::array() : Json::object();
  for (uint64_t i = rng.below(4); i > 0; --i) {
    if (kind == 4) value.push_back(random_value(rng, depth - 1));
    if (kind == 5) value["k" + random_text(rng)] = random_value(rng, depth - 1);
  }
  return value;
}

TEST(ToYaml, RandomTreesComeBack) {
  Rng rng(11);
  for (int i = 0; i < 3000; ++i) {
    const Json value = random_value(rng, 4);
    EXPECT_EQ(round_trip(value).dump(), value.dump()) << to_yaml(value);
  }
}

}  // namespace
}  // namespace noregret
