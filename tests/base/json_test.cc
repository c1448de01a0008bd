#include "noregret/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base_support.h"
#include "noregret/base/clock.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string parse_error(std::string_view text, int max_depth = 64) {
  return error_of<DataError>([&] { parse_json(text, "f.json", max_depth); });
}

TEST(ParseJson, ReadsEveryKindAndKeepsTheOrderOfKeys) {
  const std::string text = R"({"z":null,"a":[true,false],"m":{"i":-3,"u":18446744073709551615,"f":1.5,"s":"\u00e9"}})";
  const Json value = parse_json(text, "f.json");
  EXPECT_EQ(value["m"]["u"].get<uint64_t>(), 18446744073709551615u);
  EXPECT_EQ(value["m"]["s"], "\xc3\xa9");
  EXPECT_EQ(dump_json(value), R"({"z":null,"a":[true,false],"m":{"i":-3,"u":18446744073709551615,"f":1.5,"s":")"
                              "\xc3\xa9\"}}");
}

TEST(ParseJson, ReadsScalarsAndSpaceAround) {
  EXPECT_EQ(parse_json(" \n\t5 \r\n", "f"), Json(5));
  EXPECT_EQ(parse_json("\"\"", "f"), Json(""));
}

TEST(ParseJson, SecondOfTwoEqualKeysIsAnError) {
  EXPECT_EQ(parse_error(R"({"a":1,"b":2,"a":3})"), "f.json: key 'a' is there twice");
  EXPECT_EQ(parse_error(R"([{"x":{"a":1,"\u0061":3}}])"), "f.json: key 'a' is there twice");  // the same key, escaped
}

TEST(ParseJson, SameKeyInTwoObjectsIsFine) { EXPECT_EQ(parse_json(R"({"a":{"a":1},"b":{"a":2}})", "f")["b"]["a"], 2); }

TEST(ParseJson, DepthIsBoundedWhileReading) {
  EXPECT_EQ(parse_error("[[[0]]]", 3), "no error");
  EXPECT_EQ(parse_error("[[[[0]]]]", 3), "f.json: nested deeper than 3 levels");
  EXPECT_EQ(parse_error(R"({"a":{"a":{"a":{}}}})", 3), "f.json: nested deeper than 3 levels");
  EXPECT_EQ(parse_error("5", 0), "no error");
  // Cut off: had it been read to its end, the error were another one.
  EXPECT_EQ(parse_error(std::string(10'000'000, '[')), "f.json: nested deeper than 64 levels");
}

TEST(ParseJson, NothingMayFollowTheValue) {
  EXPECT_THAT(parse_error("{} x"), HasSubstr("f.json: not JSON at column 4"));
  EXPECT_THAT(parse_error("1 2"), HasSubstr("expected end of input"));
  EXPECT_THAT(parse_error("{}{}"), HasSubstr("not JSON at column 3"));
}

TEST(ParseJson, NulByteIsAnErrorEvenAtTheEnd) {
  EXPECT_THAT(parse_error(std::string_view("{}\0", 3)), HasSubstr("holds a NUL byte"));
  EXPECT_THAT(parse_error(std::string_view("\"a\0b\"", 5)), HasSubstr("holds a NUL byte"));
}

TEST(ParseJson, EscapedNulIsTextThatReadsBack) {
  const Json value = parse_json(R"("a\u0000b")", "f");
  EXPECT_EQ(value.get<std::string>(), std::string("a\0b", 3));
  EXPECT_EQ(dump_json(value), R"("a\u0000b")");
}

TEST(ParseJson, InvalidUtf8IsAnError) {
  EXPECT_THAT(parse_error("\"\xff\""), HasSubstr("not UTF-8"));
  EXPECT_THAT(parse_error("\"\xed\xa0\x80\""), HasSubstr("not UTF-8"));
}

TEST(ParseJson, LoneSurrogateEscapeIsAnError) {
  EXPECT_THAT(parse_error(R"("\ud800")"), HasSubstr("surrogate"));
  EXPECT_EQ(parse_json(R"("\ud83d\ude00")", "f"), Json("\xf0\x9f\x98\x80"));
}

TEST(ParseJson, WhatOtherReadersForgiveIsAnError) {
  for (const char* text :
       {"",    " ",        "{",       "[1,]",    "{\"a\":1,}", "{'a':1}",  "{a:1}", "[1 2]", "01",
        "+1",  ".5",       "1.",      "0x10",    "NaN",        "Infinity", "-",     "nul",   "TRUE",
        "\"a", "\"a\nb\"", "\"\\x\"", "// c\n1", "1 // c",     "{\"a\"}",  "{1:2}", "]",     "\"\\u12\""}) {
    EXPECT_THAT(parse_error(text), HasSubstr("f.json: not JSON at ")) << text;
  }
}

TEST(ParseJson, NumberBeyondADoubleIsAnError) {
  EXPECT_THAT(parse_error("[1e999]"), AllOf(HasSubstr("number overflow"), Not(HasSubstr("json.exception"))));
  EXPECT_LT(parse_error(std::string(100000, '9')).size(), 300u);
}

TEST(ParseJson, IntegerBeyondSixtyFourBitsIsANumber) {
  const Json value = parse_json("18446744073709551616", "f");
  EXPECT_TRUE(value.is_number_float());
  EXPECT_EQ(value.get<double>(), 0x1p64);
}

TEST(ParseJson, ErrorNamesLineAndColumnInOneLine) {
  const std::string message = parse_error("{\n  \"a\": 1,\n  \"b\": tru\n}");
  EXPECT_THAT(message, HasSubstr("f.json: not JSON at line 3, column "));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(ParseJson, ErrorDoesNotRepeatTheText) {
  EXPECT_LT(parse_error("\"" + std::string(100000, 'a')).size(), 300u);
  EXPECT_LT(parse_error("[\"" + std::string(100000, 'a') + "\" 1]").size(), 300u);
}

TEST(ParseJson, TimeIsNotQuadraticInTheNumberOfKeys) {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += cat(i > 0 ? "," : "", "\"token", i, "\":", i);
  text += "}";
  const Stopwatch watch;
  const Json value = parse_json(text, "vocabulary");
  EXPECT_EQ(value.size(), 200000u);
  EXPECT_LT(watch.seconds(), 20.0);  // 0.1 s when idle; a lookup for each key takes over a minute
}

TEST(DumpJson, EscapesAndReplaces) {
  EXPECT_EQ(dump_json(Json("a\"\\\n\x01")), R"("a\"\\\n\u0001")");
  EXPECT_EQ(dump_json(Json("\xff!")), "\"\xef\xbf\xbd!\"");
  Json object;
  object["\xfe"] = 1;
  EXPECT_EQ(dump_json(object), "{\"\xef\xbf\xbd\":1}");
}

TEST(DumpJson, NonFiniteIsNull) { EXPECT_EQ(dump_json(Json{std::nan(""), HUGE_VAL, -HUGE_VAL}), "[null,null,null]"); }

TEST(DumpJson, EmptyContainersStay) { EXPECT_EQ(dump_json(parse_json("[{},[],\"\"]", "f")), "[{},[],\"\"]"); }

TEST(DumpJson, FloatingPointNumberStaysOne) {
  EXPECT_EQ(dump_json(Json(1.0)), "1.0");
  EXPECT_EQ(dump_json(Json(-0.0)), "-0.0");
  EXPECT_EQ(dump_json(Json(1e-7)), "1e-7");
  EXPECT_EQ(dump_json(Json(1)), "1");
}

TEST(DumpJson, DigitsAreTheFewest) {
  EXPECT_EQ(dump_json(Json(0.1)), "0.1");
  EXPECT_EQ(dump_json(Json(8.48162069870304e+18)), "8.48162069870304e+18");  // the library: 8.481620698703041e+18
}

TEST(DumpJson, RandomDoublesReadBackToThemselves) {
  std::mt19937_64 bits(3);
  for (int i = 0; i < 50000; ++i) {
    const uint64_t pattern = bits();
    double value = 0.0;
    std::memcpy(&value, &pattern, sizeof value);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(parse_json(dump_json(Json(value)), "f").get<double>(), value);
  }
}

Json random_tree(std::mt19937& random, int depth) {
  switch (random() % (depth > 0 ? 7 : 5)) {
    case 0:
      return Json();
    case 1:
      return Json(random() % 2 == 0);
    case 2:
      return Json(static_cast<int64_t>(random()) - 2'000'000'000);
    case 3:
      return Json(std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 200) - 100));
    case 4: {
      std::string text;
      for (size_t i = random() % 8; i > 0; --i) text += static_cast<char>(random() % 128);
      return Json(text);
    }
    case 5: {
      Json list = Json::array();
      for (size_t i = random() % 4; i > 0; --i) list.push_back(random_tree(random, depth - 1));
      return list;
    }
    default: {
      Json object = Json::object();
      for (size_t i = random() % 4; i > 0; --i) object[cat("key", random() % 100)] = random_tree(random, depth - 1);
      return object;
    }
  }
}

TEST(DumpJson, RandomTreesReadBackToThemselves) {
  std::mt19937 random(4);
  for (int i = 0; i < 3000; ++i) {
    const Json tree = random_tree(random, 4);
    const std::string text = dump_json(tree);
    ASSERT_EQ(parse_json(text, "f"), tree) << text;
    ASSERT_EQ(dump_json(parse_json(text, "f")), text);
  }
}

TEST(ParseJson, CutOffTextIsAlwaysAnError) {
  const std::string text = R"({"a":[1,-2.5e3,true,null,"\u00e9x"],"b":{"c":"d"}})";
  for (size_t size = 0; size < text.size(); ++size) EXPECT_NE(parse_error(text.substr(0, size)), "no error") << size;
}

TEST(ParseJson, ChangedBytesGiveAValueOrADataErrorAndNothingElse) {
  const std::string text = R"({"a":[1,-2.5e3,true,null,"\u00e9x"],"b":{"c":"d"}})";
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string changed = text;
    for (int j = 0; j < 3; ++j) changed[random() % changed.size()] = static_cast<char>(random());
    EXPECT_NO_THROW(parse_error(changed)) << quoted(changed);
  }
}

TEST(JsonFloat, PrintsTheDigitsOfTheFloat) {
  EXPECT_EQ(dump_json(json_float(0.1f)), "0.1");
  EXPECT_EQ(dump_json(json_float(-1.1912845e+20f)), "-1.1912845e+20");
  EXPECT_EQ(dump_json(json_float(std::nanf(""))), "null");
  EXPECT_EQ(dump_json(json_float(-std::numeric_limits<float>::infinity())), "null");
}

TEST(JsonFloat, EveryFloatReadsBackAndPrintsAsItself) {
  std::mt19937 bits(6);
  for (int i = 0; i < 50000; ++i) {
    const uint32_t pattern = bits();
    float value = 0.0f;
    std::memcpy(&value, &pattern, sizeof value);
    if (!std::isfinite(value)) continue;
    const std::string text = dump_json(json_float(value));
    ASSERT_EQ(static_cast<float>(parse_json(text, "f").get<double>()), value) << text;
    const std::string digits = shortest(value);
    ASSERT_TRUE(text == digits || text == digits + ".0") << text << " is not " << digits;
  }
}

class JsonAccess : public testing::Test {
 protected:
  const Json object_ =
      parse_json(R"({"s":"x","i":-5,"u":18446744073709551615,"f":1.5,"b":true,"l":[],"o":{},"n":null})", "f");
};

TEST_F(JsonAccess, GivesTheValueOfItsKind) {
  EXPECT_EQ(json_string(object_, "s", "w"), "x");
  EXPECT_EQ(json_int(object_, "i", "w"), -5);
  EXPECT_EQ(json_number(object_, "i", "w"), -5.0);
  EXPECT_EQ(json_number(object_, "f", "w"), 1.5);
  EXPECT_TRUE(json_bool(object_, "b", "w"));
  EXPECT_TRUE(json_at(object_, "l", "w").is_array());
}

TEST_F(JsonAccess, MissingKeyIsNamed) {
  EXPECT_EQ(error_of<DataError>([&] { json_int(object_, "k", "a.jsonl:3"); }), "a.jsonl:3: key 'k' is missing");
}

TEST_F(JsonAccess, AnotherKindIsNamedWithWhatIsWanted) {
  EXPECT_EQ(error_of<DataError>([&] { json_int(object_, "s", "w"); }), "w: key 's' is a string, want an integer");
  EXPECT_EQ(error_of<DataError>([&] { json_int(object_, "f", "w"); }), "w: key 'f' is a number, want an integer");
  EXPECT_EQ(error_of<DataError>([&] { json_string(object_, "i", "w"); }), "w: key 'i' is an integer, want a string");
  EXPECT_EQ(error_of<DataError>([&] { json_string(object_, "n", "w"); }), "w: key 'n' is null, want a string");
  EXPECT_EQ(error_of<DataError>([&] { json_number(object_, "b", "w"); }), "w: key 'b' is a boolean, want a number");
  EXPECT_EQ(error_of<DataError>([&] { json_number(object_, "l", "w"); }), "w: key 'l' is a list, want a number");
  EXPECT_EQ(error_of<DataError>([&] { json_bool(object_, "o", "w"); }), "w: key 'o' is an object, want true or false");
}

TEST_F(JsonAccess, IntegerBeyondInt64IsAnErrorNotAWrap) {
  EXPECT_EQ(error_of<DataError>([&] { json_int(object_, "u", "w"); }),
            "w: key 'u' is 18446744073709551615, want at most 9223372036854775807");
}

TEST_F(JsonAccess, ValueThatIsNoObjectIsAnError) {
  EXPECT_EQ(error_of<DataError>([&] { json_at(object_["l"], "k", "w"); }),
            "w: is a list, want an object with the key 'k'");
}

}  // namespace
}  // namespace noregret
