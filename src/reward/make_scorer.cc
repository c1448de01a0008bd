#include <unistd.h>

#include <algorithm>
#include <thread>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/reward/rubric.h"
#include "reward/http_scorer.h"
#include "reward/plugin_file.h"
#include "reward/process_scorer.h"

namespace noregret {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxAutoWorkers = 8;

std::string options_json(const RewardOptions& reward) {
  switch (reward.options.kind) {
    case Node::Kind::kNull:
      return "{}";
    case Node::Kind::kMap:
      return dump_json(reward.options.to_json());
    default:
      throw ConfigError(cat("reward plugin ", reward.plugin, ": its options are no map; want options: {name: value}"));
  }
}

size_t num_workers(const RewardOptions& reward) {
  if (reward.workers > 0) return static_cast<size_t>(reward.workers);
  if (reward.is_http()) return kMaxAutoWorkers;  // they wait, they do not compute
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxAutoWorkers);
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

WorkerSetup worker_setup(const RewardOptions& reward, const RewardHost& host, OutputLog& log) {
  if (!is_file(host.worker)) {
    throw ConfigError(cat(host.worker.string(),
                          ": no such file: plugins run in it; build it with `make build`, or say "
                          "isolation: none where the plugin is to be trusted"));
  }
  WorkerSetup setup;
  setup.process.program = host.worker.string();
  setup.process.args = {cat(reward.memory_mb), cat(geteuid()), cat(getegid())};
  setup.process.environment = {cat("PATH=", host.search_path), "LANG=C.UTF-8"};
  setup.options_json = options_json(reward);
  setup.timeout_s = reward.timeout_s;
  setup.process.wants_namespace = host.wants_namespace;
  setup.process.log = &log;
  return setup;
}

std::unique_ptr<Scorer> library_scorer(const RewardOptions& reward, const RewardHost& host, OutputLog& log) {
  const fs::path file = find_plugin(reward.plugin, host.plugin_dir);
  WorkerSetup setup = worker_setup(reward, host, log);
  setup.process.label = cat("reward plugin ", file.string());
  setup.process.args.insert(setup.process.args.end(), {"library", file.string()});
  return std::make_unique<ProcessScorer>(std::move(setup), num_workers(reward), sha256_file(file));
}

// The program's text is what counts, whatever it imports: that of every argument that is a file.
std::string command_digest(const std::vector<std::string>& command) {
  std::string text = join(command, "\n");
  for (const std::string& word : command) {
    if (is_file(word)) text += "\n" + sha256_file(word);
  }
  return sha256_hex(text);
}

std::unique_ptr<Scorer> command_scorer(const RewardOptions& reward, const RewardHost& host, OutputLog& log) {
  std::vector<std::string> command = reward.command;
  if (reward.is_python()) {
    const fs::path script = fs::absolute(reward.plugin);
    if (!is_file(script)) {
      throw ConfigError(cat("reward plugin ", script.string(), ": no such file; want a Python file as in ",
                            "rewards/python/README.md"));
    }
    command = {"python3", script.string()};
  }
  WorkerSetup setup = worker_setup(reward, host, log);
  setup.process.label = cat("reward ", join(command, " "));
  setup.process.args.emplace_back("command");
  setup.process.args.insert(setup.process.args.end(), command.begin(), command.end());
  setup.process.environment.push_back(cat("PYTHONPATH=", (fs::absolute(host.plugin_dir) / "python").string()));
  setup.process.environment.emplace_back("PYTHONUNBUFFERED=1");
  setup.process.environment.emplace_back("PYTHONDONTWRITEBYTECODE=1");
  return std::make_unique<ProcessScorer>(std::move(setup), num_workers(reward), command_digest(command));
}

}  // namespace

std::unique_ptr<Scorer> make_scorer(const RewardOptions& reward, const RewardHost& host, OutputLog& log) {
  const std::string wrong = reward.why_invalid();
  if (!wrong.empty()) throw ConfigError(cat("rewards: ", wrong));
  if (reward.is_http()) return std::make_unique<HttpScorer>(reward, options_json(reward), num_workers(reward));
  if (!reward.is_library()) return command_scorer(reward, host, log);
  if (reward.isolation == "process") return library_scorer(reward, host, log);
  return std::make_unique<Plugin>(reward.plugin, options_json(reward), host.plugin_dir);
}

}  // namespace noregret
