#include "program.h"

#include <optional>
#include <stdexcept>

#include "noregret/base/json.h"
#include "noregret/base/text.h"

namespace {

constexpr std::string_view kFence = "```";
constexpr std::string_view kForms = R"({"input", "output"} or {"call", "expected"}, all texts)";

std::string_view without_space_at_end(std::string_view text) {
  const size_t last = text.find_last_not_of(" \t\r\n\v\f");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// The next line, taken off the text.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

CodeTest read_test(const noregret::Json& raw) {
  const auto has_texts = [&](const char* first, const char* second) {
    return raw.is_object() && raw.size() == 2 && raw.contains(first) && raw.contains(second) &&
           raw[first].is_string() && raw[second].is_string();
  };
  if (has_texts("input", "output")) return CodeTest{raw["input"], "", raw["output"], false};
  if (has_texts("call", "expected")) return CodeTest{"", raw["call"], raw["expected"], true};
  throw std::invalid_argument(
      noregret::cat("a test is ", noregret::quoted(noregret::dump_json(raw)), ", want ", kForms));
}

}  // namespace

std::string program_in(std::string_view completion, std::string_view language, bool is_truncated) {
  std::optional<std::string> last;
  bool has_fence = false;
  std::string_view rest = completion;
  while (!rest.empty()) {
    std::string_view line = take_line(rest);
    if (!line.starts_with(kFence)) continue;
    has_fence = true;
    const std::string_view name = without_space_at_end(line.substr(kFence.size()));
    std::string block;
    bool is_closed = false;
    while (!rest.empty() && !is_closed) {
      line = take_line(rest);
      is_closed = line.starts_with(kFence);
      if (!is_closed) block += std::string(line) + "\n";
    }
    if (!name.empty() && name != language) continue;
    last = is_closed || !is_truncated ? block : "";
  }
  if (!has_fence) return is_truncated ? "" : std::string(completion);
  return last.value_or("");
}

std::vector<CodeTest> tests_in(std::string_view metadata_json) {
  const noregret::Json metadata = noregret::parse_json(metadata_json, "metadata");
  const bool has_tests = metadata.is_object() && metadata.contains("tests") && metadata["tests"].is_array();
  if (!has_tests || metadata["tests"].empty()) {
    throw std::invalid_argument(noregret::cat("metadata.tests is no list of tests; want ", kForms));
  }
  std::vector<CodeTest> tests;
  for (const noregret::Json& raw : metadata["tests"]) tests.push_back(read_test(raw));
  return tests;
}

bool is_same_output(std::string_view printed, std::string_view expected) {
  printed = without_space_at_end(printed);
  expected = without_space_at_end(expected);
  while (!printed.empty() || !expected.empty()) {
    if (printed.empty() != expected.empty()) return false;
    if (without_space_at_end(take_line(printed)) != without_space_at_end(take_line(expected))) return false;
  }
  return true;
}
