#include "noregret/base/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

struct Inner {
  using HasFieldsTag = void;
  std::string name = "a";
  double weight = 1.0;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("name", name, OneOf{"a", "beta", "gamma"}, "which");
    v("weight", weight, GreaterThan{0.0}, "how much");
  }
};

struct Outer {
  using HasFieldsTag = void;
  bool flag = false;
  int small = 1;
  int64_t count = 2;
  uint64_t seed = 3;
  double rate = 0.5;
  std::string text = "t";
  std::vector<double> betas = {0.9, 0.95};
  std::vector<std::string> targets = {"all"};
  std::optional<int64_t> limit;
  Inner inner;
  std::optional<Inner> maybe = Inner{};
  std::vector<Inner> list;
  Node extra;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("flag", flag, "a switch");
    v("small", small, AtLeast{0}, "an int");
    v("count", count, AtLeast{-5}, "an int64");
    v("seed", seed, "a uint64");
    v("rate", rate, Range{0.0, 1.0}, "a number");
    v("text", text, "text");
    v("betas", betas, Range{0.0, 1.0}, "numbers");
    v("targets", targets, "names");
    v("limit", limit, AtLeast{1}, "may be none");
    v("inner", inner, "nested");
    v("maybe", maybe, "nested, may be none");
    v("list", list, "several");
    v("extra", extra, "anything");
  }
};

Node scalar(const std::string& text, bool is_quoted = false) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.scalar = text;
  node.is_quoted = is_quoted;
  node.location = Location{"run.yaml", 4, 9};
  return node;
}

Node map_of(const std::string& key, Node value) {
  Node node;
  node.kind = Node::Kind::kMap;
  node.location = Location{"run.yaml", 1, 1};
  node.map.emplace_back(key, std::move(value));
  return node;
}

Outer read(const std::string& key, const std::string& text) {
  return read_fields<Outer>(map_of(key, scalar(text)), "");
}

std::string read_error(const std::string& key, const Node& value) {
  return error_of<ConfigError>([&] { read_fields<Outer>(map_of(key, value), ""); });
}
std::string read_error(const std::string& key, const std::string& text) { return read_error(key, scalar(text)); }

std::string json_error(const std::string& json) {
  return error_of<ConfigError>([&] { read_fields<Outer>(Node::from_json(parse_json(json, "f"), Location{}), ""); });
}

TEST(Fields, NothingWrittenLeavesTheDefaults) {
  EXPECT_EQ(write_fields(read_fields<Outer>(Node{}, "")), write_fields(Outer{}));
}

TEST(Fields, EachKindIsRead) {
  EXPECT_TRUE(read("flag", "true").flag);
  EXPECT_EQ(read("small", "7").small, 7);
  EXPECT_EQ(read("count", "-5").count, -5);
  EXPECT_EQ(read("count", "+5").count, 5);
  EXPECT_EQ(read("seed", "18446744073709551615").seed, 18446744073709551615u);
  EXPECT_EQ(read("rate", "1e-4").rate, 1e-4);
  EXPECT_EQ(read("rate", ".5").rate, 0.5);
  EXPECT_EQ(read("rate", "1").rate, 1.0);
  EXPECT_EQ(read("rate", "2.5E-1").rate, 0.25);
  EXPECT_EQ(read("text", "words here").text, "words here");
  EXPECT_EQ(read("text", "1e-4").text, "1e-4");  // a string field takes any scalar as it is written
  EXPECT_EQ(read("limit", "10").limit, 10);
  EXPECT_EQ(read("limit", "none").limit, std::nullopt);
  EXPECT_EQ(read("maybe", "none").maybe.has_value(), false);
}

TEST(Fields, ListsReplaceTheDefault) {
  const Node node = Node::from_json({{"betas", {0.1, 0.2, 0.3}}, {"targets", Json::array()}}, Location{});
  const Outer outer = read_fields<Outer>(node, "");
  EXPECT_THAT(outer.betas, ElementsAre(0.1, 0.2, 0.3));
  EXPECT_TRUE(outer.targets.empty());
}

TEST(Fields, NestedStructsKeepTheirOtherDefaults) {
  const Node node = Node::from_json({{"inner", {{"name", "beta"}}}, {"list", {{{"weight", 2}}}}}, Location{});
  const Outer outer = read_fields<Outer>(node, "");
  EXPECT_EQ(outer.inner.name, "beta");
  EXPECT_EQ(outer.inner.weight, 1.0);
  ASSERT_EQ(outer.list.size(), 1u);
  EXPECT_EQ(outer.list[0].name, "a");
  EXPECT_EQ(outer.list[0].weight, 2.0);
}

TEST(Fields, ExtremesOfIntegersFit) {
  EXPECT_EQ(read("count", "9223372036854775807").count, std::numeric_limits<int64_t>::max());
  EXPECT_THAT(
      read_error("count", "9223372036854775808"),
      HasSubstr("count is 9223372036854775808, want an integer from -9223372036854775808 to 9223372036854775807"));
  EXPECT_THAT(read_error("seed", "18446744073709551616"), HasSubstr("from 0 to 18446744073709551615"));
  EXPECT_THAT(read_error("seed", "-1"), HasSubstr("seed is -1, want an integer from 0 to"));
  EXPECT_THAT(read_error("small", "3000000000"), HasSubstr("want an integer from -2147483648 to 2147483647"));
}

TEST(Fields, WhatIsNoIntegerIsAnErrorWithPlaceAndFix) {
  EXPECT_EQ(read_error("count", "x"), "run.yaml:4:9: count is 'x', want an integer");
  EXPECT_EQ(read_error("count", "1e3"), "run.yaml:4:9: count is 1e3, want an integer; write 1000");
  EXPECT_EQ(read_error("count", "2.0"), "run.yaml:4:9: count is 2.0, want an integer; write 2");
  EXPECT_EQ(read_error("count", "2.5"), "run.yaml:4:9: count is 2.5, want an integer");
  EXPECT_EQ(read_error("count", "1_000"), "run.yaml:4:9: count is '1_000', want an integer; write 1000");
  EXPECT_EQ(read_error("count", "0x10"),
            "run.yaml:4:9: count is '0x10', want an integer; write it in decimal digits, without a leading 0");
  EXPECT_EQ(read_error("count", "017"),
            "run.yaml:4:9: count is '017', want an integer; write it in decimal digits, without a leading 0");
  EXPECT_EQ(read_error("count", "true"), "run.yaml:4:9: count is true, want an integer");
  EXPECT_EQ(read_error("count", ""), "run.yaml:4:9: count is '', want an integer");
  EXPECT_EQ(read_error("count", scalar("5", true)),
            "run.yaml:4:9: count is '5', want an integer; leave the quotes away");
}

TEST(Fields, WhatIsNoNumberIsAnError) {
  for (const char* text :
       {"",    "-",   "+",     ".",  "e5", "1e", "1e+", "1.2.3", "1,5", "1 2",   "0x1p3",    "00",    "01.5",
        "--1", "+-1", "1e5.0", " 1", "1 ", "1f", "nan", ".nan",  "inf", "-.inf", "Infinity", "1_0.5", "1d3"}) {
    EXPECT_THAT(read_error("rate", text), HasSubstr("run.yaml:4:9: rate is '")) << text;
  }
  EXPECT_THAT(read_error("rate", ".inf"), HasSubstr("want a finite number"));
  EXPECT_THAT(read_error("rate", "1e999"), HasSubstr("rate is 1e999, want a number that a double can hold"));
  EXPECT_THAT(read_error("rate", "1e-999"), HasSubstr("want a number that a double can hold"));
}

TEST(Fields, WhatIsNoBooleanIsAnErrorWithTheFix) {
  EXPECT_EQ(read_error("flag", "yes"), "run.yaml:4:9: flag is 'yes', want true or false; write true");
  EXPECT_EQ(read_error("flag", "Off"), "run.yaml:4:9: flag is 'Off', want true or false; write false");
  EXPECT_EQ(read_error("flag", "1"), "run.yaml:4:9: flag is 1, want true or false; write true");
  EXPECT_EQ(read_error("flag", "maybe"), "run.yaml:4:9: flag is 'maybe', want true or false");
  EXPECT_EQ(read_error("flag", scalar("true", true)), "run.yaml:4:9: flag is 'true', want true or false; write true");
}

TEST(Fields, AnotherShapeIsAnError) {
  Node list;
  list.kind = Node::Kind::kList;
  EXPECT_EQ(read_error("count", list), "count is a list, want an integer");
  EXPECT_EQ(read_error("text", list), "text is a list, want text");
  EXPECT_EQ(read_error("text", Node{}), "text is empty, want text; write \"\" for none");
  EXPECT_EQ(read_error("rate", Node{}), "rate is empty, want a number");
  EXPECT_EQ(read_error("flag", map_of("a", scalar("1"))), "run.yaml:1:1: flag is a map, want true or false");
  EXPECT_EQ(read_error("targets", "q_proj"), "run.yaml:4:9: targets is 'q_proj', want a list; write [q_proj]");
  EXPECT_EQ(read_error("inner", "5"), "run.yaml:4:9: inner is 5, want a map of keys and values");
  EXPECT_EQ(error_of<ConfigError>([&] { read_fields<Outer>(list, ""); }),
            "the value is a list, want a map of keys and values");
}

TEST(Fields, ConstraintsSayWhatIsWanted) {
  EXPECT_EQ(read_error("small", "-1"), "run.yaml:4:9: small is -1, want at least 0");
  EXPECT_EQ(read_error("rate", "1.5"), "run.yaml:4:9: rate is 1.5, want 0 to 1");
  EXPECT_EQ(read_error("limit", "0"), "run.yaml:4:9: limit is 0, want at least 1");
  EXPECT_EQ(read("rate", "0").rate, 0.0);  // a range is closed
  EXPECT_EQ(json_error(R"({"inner":{"weight":0}})"), "inner.weight is 0, want more than 0");
  EXPECT_EQ(json_error(R"({"inner":{"name":"bet"}})"),
            "inner.name is 'bet', want one of a, beta, gamma; did you mean 'beta'?");
  EXPECT_EQ(json_error(R"({"betas":[0.5,2]})"), "betas[1] is 2, want 0 to 1");
}

TEST(Fields, PathLeadsToTheElement) {
  EXPECT_EQ(json_error(R"({"list":[{},{"weight":"x"}]})"), "list[1].weight is 'x', want a number");
  EXPECT_EQ(json_error(R"({"maybe":{"weight":[]}})"), "maybe.weight is a list, want a number");
}

TEST(Fields, UnknownKeyIsAnErrorWithPlaceAndNearestName) {
  EXPECT_EQ(
      read_error("flga", "true"),
      "run.yaml:4:9: unknown key 'flga'; did you mean 'flag'? Known keys: flag, small, count, seed, rate, text, betas, "
      "targets, limit, inner, maybe, list, extra");
  EXPECT_EQ(json_error(R"({"inner":{"zzzzzzzz":1}})"), "unknown key 'inner.zzzzzzzz'; known keys: name, weight");
}

TEST(Fields, UnknownKeyCannotBreakTheLine) {
  const std::string message = read_error("a\nb" + std::string(500, 'x'), "1");
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_LT(message.size(), 300u);
}

TEST(FieldReader, KnowsWhatTheUserWrote) {
  const Node node = map_of("flag", scalar("true"));
  FieldReader reader(node, "task");
  EXPECT_TRUE(reader.has("flag"));
  EXPECT_FALSE(reader.has("rate"));
  EXPECT_EQ(reader.path(), "task");
  EXPECT_EQ(&reader.node(), &node);
  EXPECT_EQ(error_of<ConfigError>([&] { reader.finish(); }), "run.yaml:4:9: unknown key 'task.flag'; known keys: none");
  bool flag = false;
  reader("flag", flag, "a switch");
  EXPECT_TRUE(flag);
  EXPECT_NO_THROW(reader.finish());
}

TEST(FieldWriter, WritesEveryFieldInOrder) {
  Outer outer;
  outer.list.push_back(Inner{});
  outer.extra = map_of("k", scalar("0.5"));
  EXPECT_EQ(dump_json(write_fields(outer)),
            R"({"flag":false,"small":1,"count":2,"seed":3,"rate":0.5,"text":"t","betas":[0.9,0.95],"targets":["all"],)"
            R"("limit":"none","inner":{"name":"a","weight":1.0},"maybe":{"name":"a","weight":1.0},)"
            R"("list":[{"name":"a","weight":1.0}],"extra":{"k":0.5}})");
}

double random_unit(std::mt19937_64& random) { return std::ldexp(static_cast<double>(random() >> 11), -53); }

Inner random_inner(std::mt19937_64& random) {
  return Inner{random() % 2 == 0 ? "beta" : "gamma",
               std::ldexp(random_unit(random) + 0.5, static_cast<int>(random() % 600) - 300)};
}

Outer random_outer(std::mt19937_64& random) {
  Outer outer;
  outer.flag = random() % 2 == 0;
  outer.small = static_cast<int>(random() >> 33);
  outer.count = static_cast<int64_t>(random() >> (1 + random() % 60)) - 5;
  outer.seed = random();
  outer.rate = random_unit(random);
  for (size_t i = random() % 12; i > 0; --i) outer.text += static_cast<char>(random() % 128);
  outer.betas.assign(random() % 4, random_unit(random));
  outer.targets.assign(random() % 3, "17");  // text that looks like a number stays text
  if (random() % 2 == 0) outer.limit = static_cast<int64_t>(random() >> 40) + 1;
  outer.inner = random_inner(random);
  outer.maybe.reset();
  if (random() % 2 == 0) outer.maybe = random_inner(random);
  for (size_t i = random() % 3; i > 0; --i) outer.list.push_back(random_inner(random));
  return outer;
}

TEST(Fields, WhatIsWrittenReadsBackToTheSame) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    const Json json = write_fields(random_outer(random));
    const std::string text = dump_json(json);
    const Node node = Node::from_json(parse_json(text, "f"), Location{});
    ASSERT_EQ(dump_json(write_fields(read_fields<Outer>(node, ""))), text);
  }
}

}  // namespace
}  // namespace noregret
