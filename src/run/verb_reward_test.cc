#include <cstdio>

#include "noregret/base/text.h"
#include "noregret/reward/rubric.h"
#include "run/filter.h"
#include "run/gold_check.h"
#include "run/verbs.h"

namespace noregret {
namespace {

// A number as a reference is as good as its text.
std::string text_or_number(const Json& line, const char* key, const std::string& where) {
  if (!line.contains(key)) return "";
  return line[key].is_number() ? dump_json(line[key]) : json_string(line, key, where);
}

TestItem item_of(const Json& line, const std::string& where) {
  TestItem test;
  test.where = where;
  test.gold = text_or_number(line, "gold", where);
  ScoreItem& item = test.item;
  item.id = line.contains("id") ? json_string(line, "id", where) : where;
  item.prompt = line.contains("prompt") ? json_string(line, "prompt", where) : "";
  item.completion = json_string(line, "completion", where);
  item.reference = text_or_number(line, "reference", where);
  item.metadata_json = line.contains("metadata") ? dump_json(line["metadata"]) : "{}";
  item.finish_reason = line.contains("finish_reason") ? json_string(line, "finish_reason", where) : "stop";
  return test;
}

std::string status_text(const ComponentScore& score) {
  return score.status == ScoreStatus::kOk ? "ok" : std::string(failure_name(score.kind));
}

Json to_json(const ComponentScore& score) {
  Json parts = Json::object();
  for (const PartScore& part : score.parts) parts[part.name] = part.value;
  const bool is_ok = score.status == ScoreStatus::kOk;
  Json line{{"reward", is_ok ? Json(score.score) : Json(nullptr)},
            {"status", is_ok ? "ok" : "failed"},
            {"breakdown", std::move(parts)}};
  if (!is_ok) {
    line["kind"] = failure_name(score.kind);
    line["error"] = score.error;
  }
  return line;
}

std::string parts_text(const ComponentScore& score) {
  if (score.status != ScoreStatus::kOk) return score.error;
  std::string text;
  for (const PartScore& part : score.parts) text += cat(text.empty() ? "" : ", ", part.name, " ", part.value);
  return text;
}

Node checked_options(const std::string& text) {
  try {
    const Json options = parse_json(text, "--options");
    if (options.is_object()) return Node::from_json(options, Location{"--options"});
  } catch (const DataError& e) {
    throw UsageError(e.what());
  }
  throw UsageError(cat("--options: ", quoted(text), " is no JSON object, want one as in {\"strict\": true}"));
}

void print_table(const std::vector<TestItem>& items, const Rubric& rubric) {
  std::vector<ScoreItem> list;
  for (const TestItem& test : items) list.push_back(test.item);
  const std::vector<RubricResult> results = rubric.score(list);
  double sum = 0.0;
  int64_t num_ok = 0;
  std::printf("%-8s  %-12s  %8s  %-40s  %s\n", "score", "status", "ms", "completion ends", "breakdown");
  for (size_t i = 0; i < items.size(); ++i) {
    const ComponentScore& score = results[i].breakdown.front();
    const bool is_ok = score.status == ScoreStatus::kOk;
    const std::string& text = list[i].completion;
    const std::string tail = noregret::quoted(text.size() > 36 ? text.substr(text.size() - 36) : text);
    std::printf("%-8s  %-12s  %8.2f  %-40s  %s\n", is_ok ? shortest(score.score).c_str() : "-",
                status_text(score).c_str(), score.seconds * 1000, tail.c_str(), parts_text(score).c_str());
    if (is_ok) sum += score.score;
    num_ok += is_ok;
  }
  const Scorer& scorer = *rubric.scorers().front();
  std::printf("%s: %zu items, %lld scored, mean %s of %s to %s\n", scorer.name().c_str(), items.size(),
              static_cast<long long>(num_ok), num_ok > 0 ? shortest(sum / static_cast<double>(num_ok)).c_str() : "-",
              shortest(scorer.min_reward()).c_str(), shortest(scorer.max_reward()).c_str());
}

void print_output(const Rubric& rubric) {
  const std::string output = rubric.take_output();
  std::fwrite(output.data(), 1, output.size(), stderr);
}

}  // namespace

ExitCode run_reward_test(const RewardTestArgs& args, const RewardHost& host) {
  RewardOptions options;
  options.plugin = args.plugin;
  const Node written = checked_options(args.options);
  if (!written.map.empty()) options.options = written;  // none has no place that a message could name
  options.isolation = args.isolation;
  options.timeout_s = args.timeout_s;
  options.workers = args.workers;
  const Rubric rubric({options}, host);
  if (args.json) {
    const ExitCode result = filter_lines(args.input, [&](const Json& line, const std::string& where) {
      const ScoreItem item = item_of(line, where).item;
      return to_json(rubric.score({&item, 1}).front().breakdown.front());
    });
    print_output(rubric);
    return result;
  }
  std::vector<TestItem> items;
  for_each_line(args.input, [&](const std::string& text, const std::string& where) {
    items.push_back(item_of(object_of(text, where), where));
  });
  print_table(items, rubric);
  const GoldCheck check = check_gold(rubric, items);
  std::printf("%s\n", gold_text(check).c_str());
  print_output(rubric);
  return check.is_good() ? ExitCode::kOk : ExitCode::kData;
}

}  // namespace noregret
