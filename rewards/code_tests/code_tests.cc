#include <algorithm>
#include <stdexcept>

#include "noregret/base/text.h"
#include "noregret/reward/sdk.h"
#include "noregret/reward/sdk_options.h"
#include "program.h"
#include "sandbox.h"

namespace {

using noregret::cat;
using noregret::ProgramResult;
using noregret::sdk::Item;
using noregret::sdk::Score;

// Reads a call from stdin, runs the program with its output put aside, and prints what the call gives. What is expected
// is not here.
constexpr const char* kHarness = R"(import os, sys
call = sys.stdin.read()
out = os.fdopen(os.dup(1), 'w')
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
space = {'__name__': 'program'}
with open(sys.argv[1]) as file:
    exec(compile(file.read(), 'program', 'exec'), space)
out.write(repr(eval(call, space)))
out.close()
)";

struct Options {
  using HasFieldsTag = void;
  std::vector<std::string> command = {"/usr/bin/python3", "-I", "-S", "{file}"};
  std::string language = "python";
  double timeout_s = 5.0;
  int64_t memory_mb = 512;
  int64_t max_tests = 64;
  bool partial = false;
  std::string sandbox = "bubblewrap";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("command", command, "what runs the program; {file} is its path");
    v("language", language, "of the fenced block that is the program");
    v("timeout_s", timeout_s, noregret::Range{0.01, 3600}, "seconds for one run");
    v("memory_mb", memory_mb, noregret::Range{16, 1 << 20}, "address space of the program");
    v("max_tests", max_tests, noregret::AtLeast{1}, "tests that are run, from the first on");
    v("partial", partial, "the share of passed tests, not all or nothing");
    v("sandbox", sandbox, noregret::OneOf{"bubblewrap", "none"}, "none: run it unprotected, with limits alone");
  }
};

class CodeTests {
 public:
  static constexpr const char* kName = "code_tests";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  static constexpr uint32_t kFlags = NOREGRET_THREAD_SAFE;  // a program may be random, a clock may run

  explicit CodeTests(std::string_view options_json)
      : options_(noregret::sdk::read_options<Options>(options_json)), sandbox_(options_.sandbox == "bubblewrap") {
    if (options_.command.empty() || !options_.command.front().starts_with('/')) {
      throw std::invalid_argument(
          "options.command: want a program's whole path first, as in [/usr/bin/python3, {file}]");
    }
  }

  Score score(const Item& item) const {
    std::vector<CodeTest> tests = tests_in(item.metadata_json);
    tests.resize(std::min(tests.size(), static_cast<size_t>(options_.max_tests)));
    const std::string program = program_in(item.completion, options_.language, item.is_truncated());
    const bool has_program = program.find_first_not_of(" \t\r\n\v\f") != std::string::npos;
    size_t num_passed = 0;
    for (const CodeTest& test : tests) {
      if (!has_program) break;
      const bool is_passed = passes(program, test);
      num_passed += is_passed ? 1 : 0;
      if (!is_passed && !options_.partial) break;
    }
    const double share = static_cast<double>(num_passed) / static_cast<double>(tests.size());
    return {options_.partial || num_passed == tests.size() ? share : 0.0,
            {{"has_program", has_program ? 1.0 : 0.0}, {"passed", share}}};
  }

 private:
  bool passes(const std::string& program, const CodeTest& test) const {
    const SandboxLimits limits{options_.timeout_s, options_.memory_mb};
    std::vector<SandboxFile> files = {{"file", program}};
    std::vector<std::string> command = options_.command;
    if (test.is_call) {
      files.push_back({"harness", kHarness});
      command = {options_.command.front(), "-I", "-S", "{harness}", "{file}"};
    }
    const ProgramResult result = sandbox_.run(command, files, test.is_call ? test.call : test.input, limits);
    if (result.is_timed_out || result.is_output_too_long || result.end.exit_code != 0) return false;
    return is_same_output(result.out, test.expected);
  }

  Options options_;
  Sandbox sandbox_;
};

}  // namespace

NOREGRET_REWARD_PLUGIN(CodeTests)
