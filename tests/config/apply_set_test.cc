#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/config/yaml.h"
#include "tests/support/scratch.h"

namespace noregret {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kFile =
    "seed: 1\nadapter: none\noptimizer: {lr: 1e-3}\nrewards: [{plugin: a, weight: 1}, {plugin: b}]\n";

std::string after(const std::vector<std::string>& assignments) {
  Node root = parse_yaml(kFile, "c.yaml");
  for (const std::string& assignment : assignments) apply_set(root, assignment);
  return root.to_json().dump();
}

std::string error_of(const std::string& assignment) {
  Node root = parse_yaml(kFile, "c.yaml");
  return message_of<ConfigError>([&] { apply_set(root, assignment); });
}

TEST(ApplySet, ReplacesAValue) {
  EXPECT_EQ(
      after({"seed=7", "optimizer.lr=2e-4"}),
      R"({"seed":7,"adapter":"none","optimizer":{"lr":0.0002},"rewards":[{"plugin":"a","weight":1},{"plugin":"b"}]})");
}

TEST(ApplySet, ReachesIntoLists) {
  EXPECT_THAT(after({"rewards[1].weight=0.5"}), HasSubstr(R"({"plugin":"b","weight":0.5})"));
  EXPECT_THAT(after({"x=[[1, 2], [3]]", "x[0][1]=9"}), HasSubstr(R"("x":[[1,9],[3]])"));
}

TEST(ApplySet, MakesMapsOnTheWay) {
  EXPECT_THAT(after({"a.b.c=1", "a.b.d=2"}), HasSubstr(R"("a":{"b":{"c":1,"d":2}})"));
}

TEST(ApplySet, TheValueIsYaml) {
  EXPECT_THAT(after({"t=[q_proj, v_proj]"}), HasSubstr(R"("t":["q_proj","v_proj"])"));
  EXPECT_THAT(after({"t={name: svamp, n: 3}"}), HasSubstr(R"("t":{"name":"svamp","n":3})"));
  EXPECT_THAT(after({"t='5'"}), HasSubstr(R"("t":"5")"));
  EXPECT_THAT(after({"t="}), HasSubstr(R"("t":null)"));
  EXPECT_THAT(after({"t= x"}), HasSubstr(R"("t":"x")"));
}

TEST(ApplySet, OnlyTheFirstEqualsSignSplits) { EXPECT_THAT(after({"t=a=b"}), HasSubstr(R"("t":"a=b")")); }

TEST(ApplySet, LaterAssignmentsWin) { EXPECT_THAT(after({"seed=2", "seed=3"}), HasSubstr(R"("seed":3)")); }

TEST(ApplySet, NoneBecomesAMapWhenAKeyBelowItIsSet) {
  EXPECT_THAT(after({"adapter.rank=1", "adapter.alpha=16"}), HasSubstr(R"("adapter":{"rank":1,"alpha":16})"));
  EXPECT_THAT(after({"adapter={rank: 4}", "adapter=none"}), HasSubstr(R"("adapter":"none")"));
}

TEST(ApplySet, ALocationIsTheAssignment) {
  Node root = parse_yaml(kFile, "c.yaml");
  apply_set(root, "task={name: [x]}");
  EXPECT_EQ(root.find("task")->location.str(), "--set task={name: [x]}");
  EXPECT_EQ(root.find("task")->find("name")->list[0].location.str(), "--set task={name: [x]}");
  EXPECT_EQ(root.find("seed")->location.str(), "c.yaml:1:1");
}

TEST(ApplySet, RefusesWhatHasNoEqualsSign) {
  for (const std::string text : {"seed", "", "seed:1", "=1", "="}) {
    EXPECT_EQ(error_of(text), "--set " + text + ": want key=value, as in optimizer.lr=1e-4");
  }
}

TEST(ApplySet, RefusesPathsThatNameNothing) {
  for (const std::string text : {".=1", "a.=1", ".a=1", "a..b=1", "[0]=1", "a[=1", "a[]=1", "a[0=1", "a[x]=1",
                                 "a[-1]=1", "a[0]b=1", "rewards[0]weight=1", "a[12345678901234567890]=1"}) {
    EXPECT_THAT(error_of(text), HasSubstr(": want a path such as a.b=value or rewards[0].weight=value")) << text;
  }
}

TEST(ApplySet, RefusesAnIndexThatIsNotThere) {
  EXPECT_EQ(error_of("rewards[2].weight=1"), "--set rewards[2].weight=1: 'rewards' has no element 2");
  EXPECT_THAT(error_of("seed[0]=1"), HasSubstr("'seed' has no element 0"));
  EXPECT_THAT(error_of("data[0]=1"), HasSubstr("'data' has no element 0"));
}

TEST(ApplySet, RefusesAKeyInsideAValue) {
  EXPECT_THAT(error_of("seed.x=1"), HasSubstr("'x' is not inside a map"));
  EXPECT_THAT(error_of("rewards.weight=1"), HasSubstr("'weight' is not inside a map"));
}

TEST(ApplySet, RefusesAValueThatIsNoYaml) {
  EXPECT_THAT(error_of("seed=[1"), StartsWith("--set seed=[1:"));
  EXPECT_THAT(error_of("task={a: 1, a: 2}"), HasSubstr("key 'a' is there twice"));
  EXPECT_THAT(error_of("seed=&x 1"), HasSubstr("anchors"));
}

TEST(ApplySet, RefusesKeysThatNoConfigCanHold) {
  EXPECT_THAT(error_of("task.a=" + std::string(31, '[') + std::string(31, ']')),
              EndsWith("nested deeper than 32 levels"));
  EXPECT_THAT(error_of("task." + std::string(256, 'k') + "=1"), EndsWith(": a key is longer than 255 bytes"));
  EXPECT_THAT(error_of("task.\xff=1"), EndsWith(": not UTF-8"));
  EXPECT_THAT(error_of("task.\xef\xbf\xbf=1"), HasSubstr("a code point that is no character"));
}

TEST(ApplySet, AnErrorIsOneLine) {
  EXPECT_EQ(error_of("a\nb").find('\n'), std::string::npos);
  EXPECT_EQ(error_of("a.=\n1").find('\n'), std::string::npos);
  EXPECT_EQ(error_of("seed.a\nb=1").find('\n'), std::string::npos);
  EXPECT_EQ(error_of("a\nb[0]=1").find('\n'), std::string::npos);
  EXPECT_LT(error_of("a.=" + std::string(100000, 'x')).size(), 300u);
}

}  // namespace
}  // namespace noregret
