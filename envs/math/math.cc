#include "envs/math/math.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "envs/common/task_list.h"
#include "noregret/grade/extract.h"

namespace noregret {
namespace {

// "Counting & Probability" and "counting_and_probability" are one subject.
std::string plain_name(const std::string& subject) {
  std::string name;
  for (const char c : subject) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalnum(letter)) {
      name += static_cast<char>(std::tolower(letter));
    } else {
      if (!name.empty() && name.back() != '_') name += '_';
      if (c == '&') name += "and";
    }
  }
  return name;
}

std::vector<fs::path> sorted_entries(const fs::path& dir) {
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir)) entries.push_back(entry.path());
  const auto is_before = [](const fs::path& a, const fs::path& b) {
    const std::string left = a.filename().string();
    const std::string right = b.filename().string();
    return left.size() != right.size() ? left.size() < right.size() : left < right;  // 9.json before 10.json
  };
  std::sort(entries.begin(), entries.end(), is_before);
  return entries;
}

std::vector<TaskRow> rows_of(const fs::path& path) {
  if (!fs::is_directory(path)) return rows_of_file(path);
  std::vector<TaskRow> rows;
  for (const fs::path& subject : sorted_entries(path)) {
    if (!fs::is_directory(subject)) continue;
    for (const fs::path& file : sorted_entries(subject)) {
      if (file.extension() != ".json") continue;
      rows.push_back({parse_json(read_text_file(file), file.string()), file.string()});
    }
  }
  if (rows.empty()) throw DataError(path.string() + ": holds no problems; want <subject>/<number>.json in it");
  return rows;
}

// 3 of 3 and of "Level 3", null of "Level ?" and where there is none.
Json level_of(const TaskRow& row) {
  if (!row.value.contains("level")) return nullptr;
  if (row.value["level"].is_number()) return json_int(row.value, "level", row.where);
  const std::string text = json_string(row.value, "level", row.where);
  const std::string digits = text.substr(std::min(text.find_last_not_of("0123456789") + 1, text.size()));
  if (digits.empty() || digits.size() > 9) return nullptr;
  return std::stoll(digits);
}

std::string subject_of(const TaskRow& row) {
  for (const char* key : {"type", "subject"}) {
    if (row.value.contains(key)) return plain_name(json_string(row.value, key, row.where));
  }
  return "";
}

bool boxes_differ(const std::string& solution) {
  const std::vector<std::string> boxes = boxed_answers(solution);
  return std::any_of(boxes.begin(), boxes.end(), [&](const std::string& box) { return box != boxes.back(); });
}

class Format {
 public:
  explicit Format(const MathOptions& options) : options_(options) {
    for (const std::string& subject : options.subjects) wanted_.push_back(plain_name(subject));
  }

  ReadTask read(const TaskRow& row, Split split) {
    ReadTask result;
    Task& task = result.task;
    const std::string problem = json_string(row.value, "problem", row.where);
    task.messages = {{"user", problem}};
    task.metadata = {{"level", level_of(row)}, {"subject", subject_of(row)}, {"source", source_of(row)}};
    found_.insert(task.metadata["subject"].get<std::string>());
    const bool has_solution = row.value.contains("solution");
    if (has_solution) task.demonstration = json_string(row.value, "solution", row.where);
    if (row.value.contains("answer") || !has_solution) {
      task.reference = trimmed(json_string(row.value, "answer", row.where));
    } else {
      const std::vector<std::string> boxes = boxed_answers(*task.demonstration);
      if (boxes.empty()) throw DataError(row.where + ": neither an 'answer' nor a \\boxed{} in the solution");
      task.reference = boxes.back();
      if (split == Split::kTrain && boxes_differ(*task.demonstration)) {
        result.left_out = "the solution boxes different answers";
      }
    }
    if (task.reference.empty()) result.left_out = "the gold is empty";
    if (options_.asy == "skip" && problem.find("[asy]") != std::string::npos) result.left_out = "task.asy: skip";
    if (!is_wanted(task.metadata)) result.left_out = "not of task.levels and task.subjects";
    return result;
  }

  void check_subjects(const Node& node) const {
    const std::vector<std::string> found(found_.begin(), found_.end());
    for (const std::string& subject : wanted_) {
      if (found_.count(subject) > 0) continue;
      throw ConfigError(node.find("subjects")->location.str() + ": task.subjects has " + noregret::quoted(subject) +
                        ", which no problem is of; there are " + join(found, ", ") + did_you_mean(subject, found));
    }
  }

 private:
  // "algebra/17.json", or the row's own name for it.
  static std::string source_of(const TaskRow& row) {
    if (row.value.contains("unique_id")) return json_string(row.value, "unique_id", row.where);
    const fs::path path = row.where;
    return path.extension() == ".json" ? (path.parent_path().filename() / path.filename()).string()
                                       : path.filename().string();
  }

  bool is_wanted(const Json& metadata) const {
    const auto has = [](const auto& list, const auto& item) {
      return list.empty() || std::find(list.begin(), list.end(), item) != list.end();
    };
    const bool has_level = options_.levels.empty() ||
                           (!metadata["level"].is_null() && has(options_.levels, metadata["level"].get<int64_t>()));
    return has_level && has(wanted_, metadata["subject"].get<std::string>());
  }

  const MathOptions& options_;
  std::vector<std::string> wanted_;
  std::set<std::string> found_;
};

}  // namespace

std::unique_ptr<TaskSource> make_math(FieldReader& reader, const EnvContext& /*context*/) {
  MathOptions options;
  options.file.instruction = "Solve the problem step by step, and put the final answer in \\boxed{}.";
  options.visit_fields(reader);
  reader.finish();
  FileTaskOptions& file = options.file;
  if (!file.path.empty()) {
    const fs::path dir = resolve_path(reader, "path", file.path);
    if (fs::is_directory(dir / "train")) file.path = (dir / "train").string();
    const bool has_own_split = !file.eval_path.empty() || file.eval_fraction > 0.0;
    if (!has_own_split && fs::is_directory(dir / "test")) file.eval_path = (dir / "test").string();
  }
  Format format(options);
  auto tasks =
      make_file_tasks(reader, file,
                      {.name = "math",
                       .path_hint = "MATH's folder, which has train/ and test/ in it, or a JSONL file",
                       .answer_kind = "math",
                       .rows = rows_of,
                       .read = [&format](const TaskRow& row, Split split) { return format.read(row, split); }});
  format.check_subjects(reader.node());
  return tasks;
}

}  // namespace noregret
