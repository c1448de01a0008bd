#pragma once

#include <memory>

#include "tests/e2e/e2e_support.h"

namespace noregret::e2e {

// One wrong thing, and what the program has to say about it.
struct BadInput {
  std::string name;
  std::vector<std::string> args;
  int exit_code = 0;
  std::vector<std::string> says;                            // the place, and what was wanted or how to mend it
  std::function<void(const fs::path& folder)> damage = {};  // of the working folder
  std::string input = "";
};

// The ways in which the program can be called on the files of a WorkDir.
inline std::vector<std::string> call(const std::string& verb) {
  static const std::map<std::string, std::vector<std::string>> calls = {
      {"train", {"train", "rl.yaml", "--run-dir", "runs/it"}},
      {"sft", {"train", "sft.yaml", "--run-dir", "runs/it"}},
      {"eval", {"eval", "rl.yaml"}},
      {"check", {"check", "rl.yaml"}},
      {"check_sft", {"check", "sft.yaml"}},
      {"generate", {"generate", "model", "--prompt", "2?", "--max-new-tokens", "2", "--threads", "1"}},
      {"score", {"score", "model", "--input", "texts.jsonl", "--threads", "1"}},
      {"tokenize", {"tokenize", "model", "--input", "texts.jsonl"}},
      {"reward_test", {"reward", "test", "gsm8k_answer", "--input", "items.jsonl"}}};
  return calls.at(verb);
}

inline std::vector<std::string> operator+(std::vector<std::string> args, const std::vector<std::string>& more) {
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

// The same damage at several verbs: name_verb each.
inline std::vector<BadInput> at_verbs(const std::vector<std::string>& verbs, const BadInput& bad) {
  std::vector<BadInput> inputs;
  for (const std::string& verb : verbs) {
    inputs.push_back(bad);
    inputs.back().name += "_" + verb;
    inputs.back().args = call(verb) + bad.args;
  }
  return inputs;
}

inline void replace_in(const fs::path& file, const std::string& from, const std::string& to) {
  std::string text = text_of(file);
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error(cat(file.string(), " does not hold ", from));
  std::ofstream(file, std::ios::binary) << text.replace(at, from.size(), to);
}

inline void replace_all_in(const fs::path& file, const std::string& from, const std::string& to) {
  std::string text = text_of(file);
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  std::ofstream(file, std::ios::binary) << text;
}

inline void append_to(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary | std::ios::app) << text;
}

inline void cut_in_half(const fs::path& file) { fs::resize_file(file, fs::file_size(file) / 2); }

inline void change_weights(const fs::path& file, const std::function<void(std::vector<Weights>&)>& change) {
  std::vector<Weights> all = read_weights(file);
  change(all);
  write_weights(file, all);
}

// Runs all rows side by side, once, when the first is asked for; check() looks at one.
class BadInputTable {
 public:
  explicit BadInputTable(const std::vector<std::vector<BadInput>>& parts) {
    for (const std::vector<BadInput>& part : parts) rows_.insert(rows_.end(), part.begin(), part.end());
  }

  size_t size() const { return rows_.size(); }
  const std::string& name(size_t row) const { return rows_[row].name; }

  void check(size_t row) {
    std::call_once(once_, [this] { run(); });
    const BadInput& bad = rows_[row];
    const ProcessResult& result = outcomes_[row].result;
    SCOPED_TRACE("noregret " + join(bad.args, " ") + "\nstdout: " + result.out + "\nstderr: " + result.err);
    EXPECT_FALSE(result.is_timed_out);
    EXPECT_EQ(result.signal, 0);
    EXPECT_EQ(result.exit_code, bad.exit_code);
    EXPECT_EQ(result.out, "");
    check_error(bad, result.err);
    EXPECT_EQ(outcomes_[row].before, outcomes_[row].after) << "something was left behind";
  }

 private:
  struct Outcome {
    ProcessResult result;
    std::map<std::string, std::string> before;
    std::map<std::string, std::string> after;
  };

  // Progress and warnings may stand before the one line that says what is wrong.
  static void check_error(const BadInput& bad, const std::string& err) {
    const std::vector<std::string> lines = lines_of(err);
    ASSERT_FALSE(lines.empty());
    const std::string& last = lines.back();
    EXPECT_TRUE(last.starts_with("noregret: ")) << last;
    for (size_t i = 0; i + 1 < lines.size(); ++i) {
      const bool is_progress = lines[i].starts_with("noregret 0.") || lines[i].starts_with("learning rate ") ||
                               lines[i].starts_with("warning: ") || lines[i].starts_with("step ");
      EXPECT_TRUE(is_progress) << lines[i];
    }
    for (const std::string& text : bad.says) EXPECT_THAT(last, testing::HasSubstr(text));
    EXPECT_THAT(last, testing::Not(testing::HasSubstr("internal error")));
    EXPECT_LT(last.size(), 700U) << "an error is a line that a person reads";
  }

  void run() {
    std::vector<std::unique_ptr<WorkDir>> folders;
    std::vector<Command> commands;
    outcomes_.resize(rows_.size());
    for (size_t i = 0; i < rows_.size(); ++i) {
      folders.push_back(std::make_unique<WorkDir>());
      const fs::path& folder = folders.back()->path();
      if (rows_[i].damage) rows_[i].damage(folder);
      outcomes_[i].before = listing(folder);
      commands.push_back(noregret(folder, rows_[i].args, rows_[i].input));
    }
    const std::vector<ProcessResult> results = run_all(commands);
    for (size_t i = 0; i < rows_.size(); ++i) {
      outcomes_[i].result = results[i];
      outcomes_[i].after = listing(folders[i]->path());
    }
  }

  std::vector<BadInput> rows_;
  std::vector<Outcome> outcomes_;
  std::once_flag once_;
};

using BadInputCase = testing::TestWithParam<size_t>;

inline auto case_names(const BadInputTable& table) {
  return [&table](const testing::TestParamInfo<size_t>& info) { return table.name(info.param); };
}

}  // namespace noregret::e2e
