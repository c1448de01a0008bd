#include <cstdio>

#include "noregret/base/text.h"
#include "noregret/reward/rubric.h"
#include "run/filter.h"
#include "run/verbs.h"

namespace noregret {
namespace {

ScoreItem item_of(const Json& line, const std::string& where) {
  ScoreItem item;
  item.id = line.contains("id") ? json_string(line, "id", where) : where;
  item.prompt = line.contains("prompt") ? json_string(line, "prompt", where) : "";
  item.completion = json_string(line, "completion", where);
  item.reference = line.contains("reference") ? json_string(line, "reference", where) : "";
  item.metadata_json = line.contains("metadata") ? dump_json(line["metadata"]) : "{}";
  item.finish_reason = line.contains("finish_reason") ? json_string(line, "finish_reason", where) : "stop";
  return item;
}

Json to_json(const ComponentScore& score) {
  Json parts = Json::object();
  for (const PartScore& part : score.parts) parts[part.name] = part.value;
  const bool is_ok = score.status == ScoreStatus::kOk;
  Json line{{"reward", is_ok ? Json(score.score) : Json(nullptr)},
            {"status", is_ok ? "ok" : "failed"},
            {"breakdown", std::move(parts)}};
  if (!is_ok) line["error"] = score.error;
  return line;
}

std::string parts_text(const ComponentScore& score) {
  if (score.status != ScoreStatus::kOk) return score.error;
  std::string text;
  for (const PartScore& part : score.parts) text += cat(text.empty() ? "" : ", ", part.name, " ", part.value);
  return text;
}

std::string checked_options(const std::string& text) {
  try {
    const Json options = parse_json(text, "--options");
    if (options.is_object()) return dump_json(options);
  } catch (const DataError& e) {
    throw UsageError(e.what());
  }
  throw UsageError(cat("--options: ", quoted(text), " is no JSON object, want one as in {\"strict\": true}"));
}

void print_table(const std::vector<ScoreItem>& items, const Plugin& plugin) {
  const std::vector<ComponentScore> scores = plugin.score(items);
  double sum = 0.0;
  int64_t num_ok = 0;
  std::printf("%-8s  %-6s  %-40s  %s\n", "score", "status", "completion ends", "breakdown");
  for (size_t i = 0; i < items.size(); ++i) {
    const bool is_ok = scores[i].status == ScoreStatus::kOk;
    const std::string& text = items[i].completion;
    const std::string tail = noregret::quoted(text.size() > 36 ? text.substr(text.size() - 36) : text);
    std::printf("%-8s  %-6s  %-40s  %s\n", is_ok ? shortest(scores[i].score).c_str() : "-", is_ok ? "ok" : "failed",
                tail.c_str(), parts_text(scores[i]).c_str());
    if (is_ok) sum += scores[i].score;
    num_ok += is_ok;
  }
  std::printf("%s: %zu items, %lld scored, mean %s\n", plugin.name().c_str(), items.size(),
              static_cast<long long>(num_ok), num_ok > 0 ? shortest(sum / static_cast<double>(num_ok)).c_str() : "-");
}

}  // namespace

ExitCode run_reward_test(const RewardTestArgs& args, const std::filesystem::path& plugin_dir) {
  const Plugin plugin(args.plugin, checked_options(args.options), plugin_dir);
  if (args.json) {
    return filter_lines(args.input, [&](const Json& line, const std::string& where) {
      const ScoreItem item = item_of(line, where);
      return to_json(plugin.score({&item, 1}).front());
    });
  }
  std::vector<ScoreItem> items;
  for_each_line(args.input, [&](const std::string& text, const std::string& where) {
    items.push_back(item_of(object_of(text, where), where));
  });
  print_table(items, plugin);
  return ExitCode::kOk;
}

}  // namespace noregret
