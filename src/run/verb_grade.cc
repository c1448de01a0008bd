#include <algorithm>
#include <optional>

#include "noregret/base/text.h"
#include "noregret/grade/grader.h"
#include "noregret/grade/number.h"
#include "run/filter.h"
#include "run/verbs.h"

namespace noregret {
namespace {

// The options of both kinds, by their names.
struct GradeSettings {
  using HasFieldsTag = void;
  GradeOptions grade;
  ExtractOptions extract = lenient_extraction();

  template <class Visitor>
  void visit_fields(Visitor& v) {
    grade.visit_fields(v);
    extract.visit_fields(v);
  }
};

Node map_of(const std::vector<std::string>& set) {
  Node node{.kind = Node::Kind::kMap, .location = {"--set"}};
  for (const std::string& item : set) {
    const size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError(cat("--set ", quoted(item), ": want KEY=VALUE, as in require_reduced=true"));
    }
    const std::string value = item.substr(equals + 1);
    std::erase_if(node.map, [&](const Node::Entry& entry) { return entry.key == item.substr(0, equals); });
    node.map.emplace_back(item.substr(0, equals),
                          Node{.kind = Node::Kind::kScalar, .scalar = value, .location = {"--set"}});
  }
  return node;
}

// The settings of the command line, with what a line says on top.
GradeSettings settings_of(const Node& base, const Json& line, const std::string& where) {
  Node node = base;
  if (line.contains("options")) {
    const Json& options = line["options"];
    if (!options.is_object())
      throw DataError(where + ": 'options' is no object, want one as in {\"require_reduced\": true}");
    const Node own = Node::from_json(options, {where});
    for (const auto& [key, value] : own.map) {
      std::erase_if(node.map, [&key = key](const Node::Entry& entry) { return entry.key == key; });
      node.map.emplace_back(key, value);
    }
  }
  try {
    return read_fields<GradeSettings>(node, "");
  } catch (const ConfigError& e) {
    if (line.contains("options")) throw DataError(e.what());
    throw;
  }
}

std::optional<std::string> text_or_null(const Json& line, const char* key, const std::string& where) {
  if (line.contains(key) && line[key].is_null()) return {};
  return json_string(line, key, where);
}

Grade grade_line(const Grader& grader, const GradeSettings& settings, const std::string& from, const Json& line,
                 const std::string& where) {
  const std::optional<std::string> gold = text_or_null(line, "gold", where);
  const std::optional<std::string> prediction = text_or_null(line, "prediction", where);
  if (!gold) return Grade{Verdict::kGoldUnparsable};
  const bool is_truncated = line.contains("finish_reason") && json_string(line, "finish_reason", where) != "stop";
  if (!prediction) {
    return Grade{why_gold_unreadable(*gold).empty() ? Verdict::kNoAnswer : Verdict::kGoldUnparsable};
  }
  if (from == "completion") {
    return grader.grade_completion(*gold, *prediction, settings.extract, is_truncated, settings.grade);
  }
  return grader.grade(gold_answer(*gold), bare_answer(*prediction), settings.grade);
}

}  // namespace

ExitCode run_grade(const GradeArgs& args) {
  const Node base = map_of(args.set);
  const GradeSettings defaults = read_fields<GradeSettings>(base, "");
  const Grader grader(defaults.grade, args.worker);
  return filter_lines(args.input, [&](const Json& line, const std::string& where) {
    const bool has_own = line.contains("options");
    const GradeSettings settings = has_own ? settings_of(base, line, where) : defaults;
    const Grade grade = grade_line(grader, settings, args.from, line, where);
    Json out{{"verdict", verdict_name(grade.verdict)},
             {"tier", grade.tier},
             {"micros", json_float(static_cast<float>(grade.micros))}};
    if (grade.is_numeric) out["numeric"] = true;
    if (line.contains("id")) out["id"] = line["id"];
    return out;
  });
}

}  // namespace noregret
