#include "envs/registry.h"

#include <string>
#include <vector>

#include "envs/gsm8k/gsm8k.h"
#include "envs/svamp/svamp.h"
#include "envs/word_problems/word_problems.h"

namespace noregret {
namespace {

constexpr EnvEntry kEntries[] = {
    {"gsm8k", "grade-school word problems from JSONL files", make_gsm8k},
    {"svamp", "one-step word problems from SVAMP.json", make_svamp},
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
