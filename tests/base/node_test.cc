#include "noregret/base/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base_support.h"

namespace noregret {
namespace {

Json plain(const std::string& text) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.scalar = text;
  return node.to_json();
}

TEST(Location, PrintsWhatItHas) {
  EXPECT_EQ((Location{"a.yaml", 14, 3}).str(), "a.yaml:14:3");
  EXPECT_EQ((Location{"a.jsonl", 14, 0}).str(), "a.jsonl:14");
  EXPECT_EQ((Location{"--set a.b=1", 0, 0}).str(), "--set a.b=1");
  EXPECT_EQ(Location{}.str(), "");
}

TEST(Node, FindIsNullForAnAbsentKeyAndForWhatIsNoMap) {
  const Node node = Node::from_json({{"a", 1}, {"b", {1, 2}}}, Location{});
  ASSERT_NE(node.find("a"), nullptr);
  EXPECT_EQ(node.find("a")->scalar, "1");
  EXPECT_EQ(node.find("c"), nullptr);
  EXPECT_EQ(node.find("b")->find("a"), nullptr);
  EXPECT_EQ(Node{}.find("a"), nullptr);
}

TEST(Node, EveryPartOfAJsonTreeHasItsLocation) {
  const Node node = Node::from_json({{"a", {{"b", {1}}}}}, Location{"run.yaml", 5, 3});
  EXPECT_EQ(node.find("a")->find("b")->list[0].location.str(), "run.yaml:5:3");
}

TEST(Node, JsonStringIsQuotedAndANumberIsNot) {
  EXPECT_TRUE(Node::from_json("5", Location{}).is_quoted);
  EXPECT_FALSE(Node::from_json(5, Location{}).is_quoted);
  EXPECT_EQ(Node::from_json(Json(), Location{}).kind, Node::Kind::kNull);
  EXPECT_EQ(Node::from_json(Json(std::nan("")), Location{}).scalar, "nan");  // no null: a null would mean the default
}

TEST(Node, JsonComesBackAsItWas) {
  const std::string text =
      R"({"n":null,"b":true,"i":-7,"u":18446744073709551615,"f":1.0,"e":1e-7,"s":"5","t":"true","l":[[],{}]})";
  EXPECT_EQ(dump_json(Node::from_json(parse_json(text, "f"), Location{}).to_json()), text);
}

TEST(Node, PlainScalarBecomesWhatItReadsAs) {
  EXPECT_EQ(plain("true"), Json(true));
  EXPECT_EQ(plain("-12"), Json(-12));
  EXPECT_TRUE(plain("12").is_number_integer());
  EXPECT_EQ(plain("1e3"), Json(1000.0));
  EXPECT_TRUE(plain("1e3").is_number_float());
  EXPECT_EQ(plain(".5"), Json(0.5));
  EXPECT_EQ(plain("18446744073709551616"), Json(0x1p64));
}

TEST(Node, OtherPlainScalarStaysText) {
  for (const char* text :
       {"yes", "True", "017", "0x10", "1_000", "inf", ".nan", "1e999", "", "none", "2024-01-01", "1.2.3"}) {
    EXPECT_EQ(plain(text), Json(text)) << text;
  }
}

}  // namespace
}  // namespace noregret
