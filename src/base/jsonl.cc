#include "noregret/base/jsonl.h"

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && std::string_view(text).substr(text.size() - end.size()) == end;
}

// What data often come as, and what to do then.
void refuse_other_formats(std::string_view text, const std::string& file) {
  if (text.starts_with("PAR1")) {
    throw DataError(file + ": a Parquet file; turn it into JSON lines: scripts/parquet_to_jsonl.py " + file +
                    " OUT.jsonl (docs/data.md)");
  }
  for (const std::string_view mark : {"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"}) {
    if (text.starts_with(mark)) {
      throw DataError(file + ":1: begins with a byte order mark; save it as UTF-8 without one");
    }
  }
}

JsonLine checked_row(Json value, int line, const std::string& where) {
  if (!value.is_object()) throw DataError(cat(where, ": want an object, as in {\"prompt\": ...}"));
  return JsonLine{std::move(value), line};
}

std::vector<JsonLine> rows_of_array(const std::string& text, const std::string& file) {
  Json list = parse_json(text, file);
  if (!list.is_array()) {
    throw DataError(file + ": want one list of objects; a file with one object a line must be named .jsonl");
  }
  std::vector<JsonLine> rows;
  for (Json& value : list) {
    const int line = static_cast<int>(rows.size()) + 1;
    rows.push_back(checked_row(std::move(value), line, cat(file, ":", line)));
  }
  return rows;
}

std::vector<JsonLine> rows_of_lines(std::string_view text, const std::string& file) {
  std::vector<JsonLine> rows;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = text.find('\n');
    const std::string_view content = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (content.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = cat(file, ":", line);
    rows.push_back(checked_row(parse_json(content, where), line, where));
  }
  return rows;
}

}  // namespace

std::vector<JsonLine> read_jsonl(const fs::path& path) {
  const std::string file = path.string();
  const std::string text = read_text_file(path);
  refuse_other_formats(text, file);
  const bool is_array = ends_with(file, ".json") || ends_with(file, ".json.gz");
  std::vector<JsonLine> rows = is_array ? rows_of_array(text, file) : rows_of_lines(text, file);
  if (rows.empty()) throw DataError(file + ": holds no rows");
  return rows;
}

}  // namespace noregret
