#include "envs/external/external.h"

#include <algorithm>
#include <cmath>

#include "envs/common/task_list.h"
#include "envs/external/program_pool.h"
#include "noregret/base/check.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr size_t kMaxAutoWorkers = 8;
constexpr int kVersion = 1;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// A key that nobody reads is a misspelt one.
void check_keys(const Json& object, const std::vector<std::string>& known, std::string_view where) {
  if (!object.is_object()) throw DataError(cat(where, " is no object"));
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end() && key != "nonce") {
      throw DataError(cat(where, " has the unknown key ", noregret::quoted(key), did_you_mean(key, known),
                          "; known: ", join(known, ", ")));
    }
  }
}

std::vector<Message> read_messages(const Json& list, std::string_view where) {
  if (!list.is_array()) throw DataError(cat(where, ": messages are no list"));
  std::vector<Message> messages;
  for (const Json& raw : list) {
    check_keys(raw, {"role", "content"}, cat(where, ": a message"));
    messages.push_back({json_string(raw, "role", where), json_string(raw, "content", where)});
  }
  return messages;
}

// So many tasks; null or absent = without end.
int64_t read_size(const Json& hello, const char* key) {
  if (!hello.contains(key) || hello[key].is_null()) return TaskSource::kEndless;
  const int64_t size = json_int(hello, key, "its greeting");
  if (size < 0) throw DataError(cat("its greeting says ", key, ": ", size, ", want 0 or more"));
  return size;
}

Task read_task(const Json& reply) {
  constexpr std::string_view kWhere = "its task";
  check_keys(reply, {"messages", "prompt", "reference", "metadata", "demonstration"}, kWhere);
  if (reply.contains("messages") == reply.contains("prompt")) {
    throw DataError("its task wants messages or a prompt, one of them");
  }
  Task task;
  task.messages = reply.contains("prompt") ? std::vector<Message>{{"user", json_string(reply, "prompt", kWhere)}}
                                           : read_messages(reply["messages"], kWhere);
  if (task.messages.empty()) throw DataError("its task has no messages, want at least one");
  if (reply.contains("reference")) task.reference = json_string(reply, "reference", kWhere);
  if (reply.contains("metadata")) task.metadata = reply["metadata"];
  if (!task.metadata.is_object()) throw DataError("its task's metadata are no object");
  if (reply.contains("demonstration")) task.demonstration = json_string(reply, "demonstration", kWhere);
  return task;
}

StepResult read_step(const Json& reply) {
  constexpr std::string_view kWhere = "its answer";
  check_keys(reply, {"messages", "message", "terminated", "truncated", "stop_reason", "score", "parts"}, kWhere);
  StepResult result;
  if (reply.contains("message")) result.messages = {{"user", json_string(reply, "message", kWhere)}};
  if (reply.contains("messages")) {
    if (reply.contains("message")) throw DataError("its answer has message and messages, want one of them");
    result.messages = read_messages(reply["messages"], kWhere);
  }
  result.is_terminated = reply.contains("terminated") && json_bool(reply, "terminated", kWhere);
  result.is_truncated = reply.contains("truncated") && json_bool(reply, "truncated", kWhere);
  result.stop_reason = result.is_terminated ? StopReason::kCompleted : StopReason::kMaxTurns;
  if (reply.contains("stop_reason")) {
    const std::string name = json_string(reply, "stop_reason", kWhere);
    const std::optional<StopReason> reason = parse_stop_reason(name);
    if (!reason) {
      throw DataError(cat("its stop_reason is ", noregret::quoted(name),
                          ", want one of completed, max_turns, max_tokens, parse_error"));
    }
    result.stop_reason = *reason;
  }
  const Json& score = json_at(reply, "score", kWhere);
  result.score = score.is_null() ? std::nan("") : json_number(reply, "score", kWhere);
  if (!reply.contains("parts")) return result;
  if (!reply["parts"].is_object()) throw DataError("its parts are no object of names and numbers");
  for (const auto& [name, value] : reply["parts"].items()) {
    result.parts.emplace_back(name, value.is_null() ? std::nan("") : json_number(reply["parts"], name.c_str(), kWhere));
  }
  return result;
}

// Each request holds the whole episode, so any process can go on with it, and a new one after a crash.
class ExternalEpisode : public Episode {
 public:
  ExternalEpisode(ProgramPool& pool, Json task) : pool_(pool), task_(std::move(task)) {}

  StepResult step(const Turn& turn) override {
    turns_.push_back(turn.text);
    const Json request{{"step", {{"task", task_}, {"episode", id_}, {"turns", turns_}, {"is_cut", turn.is_cut}}}};
    const Json reply = pool_.ask(request, turn.cancel);
    try {
      StepResult result = read_step(reply);
      if (turn.is_cut) result.truncate(StopReason::kMaxTokens);
      return result;
    } catch (const DataError& e) {
      throw EnvError(EnvFault::kProtocol, e.what());
    }
  }

 private:
  ProgramPool& pool_;
  Json task_;
  std::string id_ = make_nonce();
  Json turns_ = Json::array();
};

class External : public TaskSource {
 public:
  External(JsonProcessOptions process, const ExternalOptions& options, Json hello, size_t num_workers,
           std::string digest)
      : num_workers_(num_workers), digest_(std::move(digest)) {
    process.log = &log_;
    label_ = process.label;
    pool_ = std::make_unique<ProgramPool>(std::move(process), std::move(hello), num_workers, options.timeout_s);
    try {
      const Json greeting = pool_->greet();
      check_keys(greeting, {"name", "train", "eval", "episodes"}, "its greeting");
      name_ = json_string(greeting, "name", "its greeting");
      train_ = read_size(greeting, "train");
      eval_ = read_size(greeting, "eval");
      has_episodes_ = json_bool(greeting, "episodes", "its greeting");
    } catch (const DataError& e) {
      throw ConfigError(cat(label_, ": ", e.what()));
    }
  }

  int64_t size(Split split) const override { return split == Split::kTrain ? train_ : eval_; }
  std::string digest() const override { return digest_; }
  int64_t num_parallel_steps() const override { return static_cast<int64_t>(num_workers_); }
  void keep_output(const fs::path& log_file) const override { log_.open(log_file); }

  Task get(Split split, int64_t index) const override {
    NOREGRET_CHECK(index >= 0 && index < size(split), "task ", index, " of ", size(split));
    const Json key{{"split", split_name(split)}, {"index", index}};
    for (int attempt = 1;; ++attempt) {
      try {
        Task task = read_task(pool_->ask(Json{{"task", key}}, nullptr));
        task.id = cat(name_, "/", split_name(split), "/", index);
        return task;
      } catch (const EnvError& e) {
        if (attempt == 2) throw DataError(cat(label_, ": task ", index, " of ", split_name(split), ": ", e.what()));
      } catch (const DataError& e) {
        throw DataError(cat(label_, ": task ", index, " of ", split_name(split), ": ", e.what()));
      }
    }
  }

  std::unique_ptr<Episode> start(const Task& task) const override {
    if (!has_episodes_) return nullptr;
    const size_t last = task.id.rfind('/');
    const size_t middle = task.id.rfind('/', last - 1);
    return std::make_unique<ExternalEpisode>(*pool_, Json{{"split", task.id.substr(middle + 1, last - middle - 1)},
                                                          {"index", std::stoll(task.id.substr(last + 1))}});
  }

 private:
  size_t num_workers_;
  std::string label_, name_, digest_;
  int64_t train_ = 0, eval_ = 0;
  bool has_episodes_ = false;
  mutable OutputLog log_;
  std::unique_ptr<ProgramPool> pool_;  // ends before its log
};

std::vector<std::string> command_of(const ExternalOptions& options, const FieldReader& reader) {
  const std::string where = reader.node().location.str() + ": ";
  if (options.plugin.empty() == options.command.empty()) {
    throw ConfigError(where + "task wants one of plugin, a Python file, and command");
  }
  if (!options.command.empty()) {
    if (options.command.front().empty()) throw ConfigError(where + "task.command begins with an empty text");
    return options.command;
  }
  const fs::path script = resolve_path(reader, "plugin", options.plugin);
  if (!is_file(script)) throw ConfigError(cat(where, "task.plugin: ", script.string(), ": no such file"));
  return {"python3", script.string()};
}

}  // namespace

std::unique_ptr<TaskSource> make_external(FieldReader& reader, const EnvContext& context) {
  ExternalOptions options;
  options.visit_fields(reader);
  reader.finish();
  const std::vector<std::string> command = command_of(options, reader);
  if (options.options.kind != Node::Kind::kNull && options.options.kind != Node::Kind::kMap) {
    throw ConfigError(reader.node().location.str() + ": task.options are no map; want options: {name: value}");
  }
  const Json own = options.options.kind == Node::Kind::kMap ? options.options.to_json() : Json::object();
  JsonProcessOptions process;
  process.label = "environment " + join(command, " ");
  process.program = context.worker.string();
  process.args = {cat(options.memory_mb), context.user_id, context.group_id, "command"};
  process.args.insert(process.args.end(), command.begin(), command.end());
  process.environment = {cat("PATH=", context.search_path), "LANG=C.UTF-8",
                         cat("PYTHONPATH=", context.python_dir.string()), "PYTHONUNBUFFERED=1",
                         "PYTHONDONTWRITEBYTECODE=1"};
  process.wants_namespace = context.wants_namespace;
  std::string text = join(command, "\n") + dump_json(own) + cat("\n", context.seed);
  for (const std::string& word : command) {
    if (is_file(word)) text += "\n" + sha256_file(word);
  }
  const auto cores = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxAutoWorkers);
  const size_t num_workers = options.workers > 0 ? static_cast<size_t>(options.workers) : cores;
  Json hello{{"noregret", kVersion}, {"options", own}, {"seed", context.seed}};
  return std::make_unique<External>(std::move(process), options, std::move(hello), num_workers, sha256_hex(text));
}

}  // namespace noregret
