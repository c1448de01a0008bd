#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <regex>

#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/json.h"
#include "noregret/reward/plugin.h"

namespace noregret {
namespace {

using testing::HasSubstr;

const fs::path kPlugins = fs::path(NOREGRET_BUILD_DIR) / "rewards";

// The plugin, or why there is no sandbox.
std::unique_ptr<Plugin> load(std::string& why, const std::string& options = "{}") {
  try {
    return std::make_unique<Plugin>("code_tests", options, kPlugins);
  } catch (const ConfigError& e) {
    why = e.what();
    return nullptr;
  }
}

// The test ends here, with the reason, where there is no sandbox.
#define LOAD_OR_SKIP(plugin, options)                    \
  std::string why_##plugin;                              \
  const auto plugin = load(why_##plugin, options);       \
  if (plugin == nullptr && HasNoSandbox(why_##plugin)) { \
    GTEST_SKIP() << why_##plugin;                        \
  }                                                      \
  ASSERT_NE(plugin, nullptr) << why_##plugin

bool HasNoSandbox(const std::string& why) { return why.find("no sandbox for programs") != std::string::npos; }

Json io_test(const std::string& input, const std::string& output) { return Json{{"input", input}, {"output", output}}; }
Json call_test(const std::string& call, const std::string& expected) {
  return Json{{"call", call}, {"expected", expected}};
}

ScoreItem item_of(const std::string& completion, const std::vector<Json>& tests,
                  const std::string& finish_reason = "stop") {
  return ScoreItem{"item", "prompt", completion, "", dump_json(Json{{"tests", Json(tests)}}), finish_reason};
}

ComponentScore judge(const Plugin& plugin, const std::string& completion, const std::vector<Json>& tests,
                     const std::string& finish_reason = "stop") {
  const ScoreItem item = item_of(completion, tests, finish_reason);
  return plugin.score({&item, 1}).at(0);
}

double reward(const Plugin& plugin, const std::string& completion, const std::vector<Json>& tests) {
  const ComponentScore score = judge(plugin, completion, tests);
  EXPECT_EQ(score.status, ScoreStatus::kOk) << score.error;
  return score.score;
}

std::vector<std::string> probe_names() {
  const std::string source = read_file(fs::path(NOREGRET_SOURCE_DIR) / "tests/rewards/probes.py");
  const std::regex entry(R"re(\n    "([^"]+)": )re");
  std::vector<std::string> names;
  for (std::sregex_iterator it(source.begin(), source.end(), entry), end; it != end; ++it) names.push_back((*it)[1]);
  return names;
}

std::string probes() { return read_file(fs::path(NOREGRET_SOURCE_DIR) / "tests/rewards/probes.py"); }

constexpr const char* kPatient = R"({"timeout_s": 60})";

TEST(Sandbox, EveryProbeIsBlocked) {
  LOAD_OR_SKIP(plugin, kPatient);
  const std::vector<std::string> names = probe_names();
  EXPECT_GE(names.size(), 40u);
  for (const std::string& name : names) {
    EXPECT_EQ(reward(*plugin, probes(), {io_test(name, "blocked")}), 1.0) << name;
  }
}

TEST(Sandbox, ProbesEscapeWhereThereIsNone) {
  std::string why;
  const auto plugin = load(why, R"({"timeout_s": 60, "sandbox": "none"})");
  ASSERT_NE(plugin, nullptr) << why;
  for (const char* name : {"read /etc/passwd", "list /var", "see other processes", "open a netlink socket"}) {
    EXPECT_EQ(reward(*plugin, probes(), {io_test(name, "escaped")}), 1.0) << name;
  }
}

TEST(Sandbox, StartsFast) {
  LOAD_OR_SKIP(plugin, R"({"timeout_s": 60, "command": ["/usr/bin/cat", "{file}"]})");
  std::vector<double> seconds;
  for (int i = 0; i < 21; ++i) {
    const Stopwatch watch;
    EXPECT_EQ(reward(*plugin, "x", {io_test("", "x")}), 1.0);
    seconds.push_back(watch.seconds());
  }
  std::sort(seconds.begin(), seconds.end());
  std::cout << "a sandbox takes " << seconds[10] * 1000 << " ms (median of 21), " << seconds[0] * 1000 << " at best\n";
  EXPECT_LT(seconds[0], 0.2);
}

TEST(CodeTests, ProgramsAreJudgedByWhatTheyPrint) {
  LOAD_OR_SKIP(plugin, kPatient);
  const std::vector<Json> tests = {io_test("3 4\n", "7\n"), io_test("10 -1\n", "9")};
  EXPECT_EQ(reward(*plugin, "print(sum(map(int, input().split())))", tests), 1.0);
  EXPECT_EQ(reward(*plugin, "Here:\n```python\nprint(sum(map(int, input().split())))\n```\nDone.", tests), 1.0);
  EXPECT_EQ(reward(*plugin, "print(7)", tests), 0.0);
  EXPECT_EQ(reward(*plugin, "", tests), 0.0);
  EXPECT_EQ(reward(*plugin, "this is no program", tests), 0.0);
}

TEST(CodeTests, CallsAreJudgedByWhatTheyGive) {
  LOAD_OR_SKIP(plugin, kPatient);
  const std::vector<Json> tests = {call_test("add(3, 4)", "7"), call_test("add('a', 'b')", "'ab'")};
  EXPECT_EQ(reward(*plugin, "```python\ndef add(a, b):\n    return a + b\n```", tests), 1.0);
  EXPECT_EQ(reward(*plugin, "print('chatter')\ndef add(a, b):\n    return a + b", tests), 1.0);
  EXPECT_EQ(reward(*plugin, "def add(a, b):\n    return a - b", tests), 0.0);
}

TEST(CodeTests, TricksPayNothing) {
  LOAD_OR_SKIP(plugin, kPatient);
  const std::vector<Json> tests = {call_test("add(3, 4)", "7")};
  for (const char* trick : {
           "import sys; sys.exit(0)",
           "import os; os._exit(0)",
           "class Any:\n    def __eq__(self, other): return True\n    def __repr__(self): return 'True'\n"
           "add = lambda a, b: Any()",
           "import builtins\nbuiltins.repr = lambda x: 'passed'\nadd = lambda a, b: 0",
           "import sys\nprint(open(sys.argv[1]).read())\nadd = lambda a, b: 0",
           "import os\nos.write(1, b'1 passed')\nadd = lambda a, b: 0",
       }) {
    EXPECT_EQ(reward(*plugin, trick, tests), 0.0) << trick;
  }
}

TEST(CodeTests, ProgramThatHangsOrFloodsIsWrong) {
  LOAD_OR_SKIP(plugin, R"({"timeout_s": 1.0})");
  const std::vector<Json> tests = {io_test("", "x")};
  EXPECT_EQ(reward(*plugin, "while True: pass", tests), 0.0);
  EXPECT_EQ(reward(*plugin, "while True: print('x' * 1000)", tests), 0.0);
  EXPECT_EQ(reward(*plugin, "import os\nwhile True: os.fork()", tests), 0.0);
}

TEST(CodeTests, PartialPaysTheShare) {
  LOAD_OR_SKIP(plugin, R"({"timeout_s": 60, "partial": true})");
  const std::vector<Json> tests = {io_test("1", "1"), io_test("2", "1"), io_test("3", "1"), io_test("4", "1")};
  EXPECT_EQ(reward(*plugin, "print(1 if input() in '12' else 0)", tests), 0.5);
}

TEST(CodeTests, LastBlockOfTheLanguageCounts) {
  LOAD_OR_SKIP(plugin, kPatient);
  const std::vector<Json> tests = {io_test("", "2")};
  EXPECT_EQ(reward(*plugin, "```python\nprint(1)\n```\n```python\nprint(2)\n```\n```bash\nls\n```", tests), 1.0);
  EXPECT_EQ(reward(*plugin, "```\nprint(2)\n```", tests), 1.0);
  EXPECT_EQ(reward(*plugin, "```python\nprint(2)", tests), 1.0);
  EXPECT_EQ(judge(*plugin, "```python\nprint(2)", tests, "length").score, 0.0);
}

TEST(CodeTests, MissingTestsAreAFailureNotAVerdict) {
  LOAD_OR_SKIP(plugin, kPatient);
  for (const char* metadata : {"{}", R"({"tests": []})", R"({"tests": 7})", R"({"tests": [{"input": "x"}]})",
                               R"({"tests": [{"input": 1, "output": "x"}]})", R"({"tests": ["assert True"]})"}) {
    const ScoreItem item{"item", "", "print(1)", "", metadata, "stop"};
    const ComponentScore score = plugin->score({&item, 1}).at(0);
    EXPECT_EQ(score.status, ScoreStatus::kFailed) << metadata;
    EXPECT_THAT(score.error, HasSubstr("want {\"input\"")) << metadata;
  }
}

TEST(CodeTests, OptionsAreChecked) {
  for (const char* options : {R"({"sandbox": "docker"})", R"({"command": []})", R"({"command": ["python3"]})",
                              R"({"timeout": 5})", R"({"timeout_s": 0})"}) {
    std::string why;
    EXPECT_EQ(load(why, options), nullptr) << options;
    EXPECT_NE(why, "");
  }
}

}  // namespace
}  // namespace noregret
