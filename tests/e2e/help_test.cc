#include <regex>

#include "tests/e2e/e2e_support.h"

namespace noregret::e2e {
namespace {

struct Verb {
  std::string name;
  std::vector<std::string> args;
  std::vector<std::string> flags;  // architecture's list of what a user types
};

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> table = {
      {"train", {"train"}, {"config", "--set", "--run-dir", "--resume", "--steps", "--threads", "--allow"}},
      {"replay", {"replay"}, {"run", "--step", "--threads"}},
      {"eval",
       {"eval"},
       {"config", "--set", "--adapter", "--samples", "--temperature", "--limit", "--output", "--json"}},
      {"generate",
       {"generate"},
       {"model", "--adapter", "--prompt", "--input", "--chat", "--samples", "--max-new-tokens", "--temperature",
        "--seed", "--json", "--device", "--threads"}},
      {"score", {"score"}, {"model", "--adapter", "--input", "--temperature", "--device", "--threads"}},
      {"tokenize", {"tokenize"}, {"model", "--input", "--decode", "--chat", "--bos", "--special"}},
      {"import", {"import"}, {"gguf", "out", "--dtype"}},
      {"export", {"export"}, {"source", "out", "--merge", "--dtype"}},
      {"check", {"check"}, {"config", "--set"}},
      {"reward", {"reward"}, {"test"}},
      {"reward_test", {"reward", "test"}, {"plugin", "--input", "--options", "--json"}},
      {"grade", {"grade"}, {"--input", "--from", "--set", "--worker"}},
      {"version", {"version"}, {}}};
  return table;
}

class Help : public testing::TestWithParam<Verb> {};

// All of them side by side.
const ProcessResult& help_of(const std::string& name) {
  static const std::map<std::string, ProcessResult> results = [] {
    std::vector<Command> commands;
    for (const Verb& verb : verbs()) {
      commands.push_back(noregret(fs::temp_directory_path(), verb.args));
      commands.back().argv.push_back("--help");
    }
    const std::vector<ProcessResult> done = run_all(commands);
    std::map<std::string, ProcessResult> by_name;
    for (size_t i = 0; i < done.size(); ++i) by_name[verbs()[i].name] = done[i];
    return by_name;
  }();
  return results.at(name);
}

TEST_P(Help, NamesEveryFlagOnStdout) {
  const ProcessResult& result = help_of(GetParam().name);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  for (const std::string& flag : GetParam().flags) EXPECT_THAT(result.out, testing::HasSubstr(flag));
}

INSTANTIATE_TEST_SUITE_P(Of, Help, testing::ValuesIn(verbs()), [](const auto& info) { return info.param.name; });

TEST(Help, OfTheProgramNamesEveryVerbAndExitCode) {
  const ProcessResult result = run(fs::temp_directory_path(), {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  for (const Verb& verb : verbs()) EXPECT_THAT(result.out, testing::HasSubstr("  " + verb.args.front()));
  for (const char* code : {"64", "65", "70", "74", "75", "76", "77", "78"})
    EXPECT_THAT(result.out, testing::HasSubstr(code));
}

TEST(Version, IsOneLineOnStdout) {
  const WorkDir folder;
  // std::regex: libonig has functions of the same names as those that gtest looks for in the C library.
  const std::string line = output_of(folder.path(), {"version"});
  EXPECT_TRUE(std::regex_match(line, std::regex("noregret [0-9]+\\.[0-9]+\\.[0-9]+ \\((CPU|CUDA) build\\)\n"))) << line;
}

}  // namespace
}  // namespace noregret::e2e
