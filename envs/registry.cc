#include "envs/registry.h"

#include <string>
#include <vector>

#include "envs/arithmetic/arithmetic.h"
#include "envs/base_conversion/base_conversion.h"
#include "envs/calculator/calculator.h"
#include "envs/code/code.h"
#include "envs/countdown/countdown.h"
#include "envs/external/external.h"
#include "envs/gsm8k/gsm8k.h"
#include "envs/guess_number/guess_number.h"
#include "envs/jsonl/jsonl.h"
#include "envs/letter_counting/letter_counting.h"
#include "envs/math/math.h"
#include "envs/number_sorting/number_sorting.h"
#include "envs/polynomial_products/polynomial_products.h"
#include "envs/svamp/svamp.h"
#include "envs/tic_tac_toe/tic_tac_toe.h"
#include "envs/word_problems/word_problems.h"

namespace noregret {
namespace {

constexpr EnvEntry kEntries[] = {
    {"arithmetic", "chains of sums, differences and products, endless", make_arithmetic},
    {"base_conversion", "numbers in other bases, endless; judges itself", make_base_conversion},
    {"calculator", "arithmetic with a tool, several turns, endless; judges itself", make_calculator},
    {"code", "programming problems with tests from JSONL files", make_code},
    {"countdown", "expressions that reach a target, endless; judges itself", make_countdown},
    {"external", "a program of yours: tasks, and episodes of one turn or many", make_external},
    {"gsm8k", "grade-school word problems from JSONL files", make_gsm8k},
    {"guess_number", "a number by larger and smaller, several turns, endless; judges itself", make_guess_number},
    {"jsonl", "prompts and answers from any JSONL file", make_jsonl},
    {"letter_counting", "letters in words, endless", make_letter_counting},
    {"math", "competition problems from MATH's folder or JSONL files", make_math},
    {"number_sorting", "lists to put in order, endless; judges itself", make_number_sorting},
    {"polynomial_products", "products to multiply out, endless; judges itself", make_polynomial_products},
    {"svamp", "one-step word problems from SVAMP.json", make_svamp},
    {"tic_tac_toe", "against an opponent, several turns, endless; judges itself", make_tic_tac_toe},
    {"word_problems", "procedural short stories with sums and differences, endless", make_word_problems},
};

}  // namespace

std::span<const EnvEntry> env_entries() { return kEntries; }

std::unique_ptr<TaskSource> make_task(const Node& task, const EnvContext& context) {
  FieldReader reader(task, "task");
  std::string name;
  reader("name", name, "which task; a folder of envs/");
  std::vector<std::string> names;
  for (const EnvEntry& entry : kEntries) {
    if (name == entry.name) return entry.make(reader, context);
    names.emplace_back(entry.name);
  }
  const Node* written = task.find("name");
  const std::string where = (written != nullptr ? written : &task)->location.str() + ": ";
  if (name.empty()) throw ConfigError(where + "task.name is missing, want one of " + join(names, ", "));
  throw ConfigError(where + "task.name is " + noregret::quoted(name) + ", want one of " + join(names, ", ") +
                    did_you_mean(name, names));
}

}  // namespace noregret
