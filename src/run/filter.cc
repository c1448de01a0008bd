#include "run/filter.h"

#include <cstdio>
#include <fstream>
#include <iostream>

#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {

ExitCode filter_lines(const std::string& input, const std::function<Json(const Json&, const std::string&)>& each) {
  const bool is_stdin = input == "-";
  std::ifstream file;
  if (!is_stdin) {
    if (!fs::is_regular_file(input) && !fs::is_fifo(input))
      throw DataError(cat(input, ": no such file; want JSON lines, or - for stdin"));
    file.open(input);
    if (!file) throw DataError(cat(input, ": cannot be read"));
  }
  std::istream& stream = is_stdin ? std::cin : file;
  const std::string name = is_stdin ? "stdin" : input;
  ExitCode result = ExitCode::kOk;
  int64_t line_number = 0;
  int64_t num_lines = 0;
  for (std::string text; std::getline(stream, text);) {
    ++line_number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    ++num_lines;
    Json out;
    try {
      const std::string where = cat(name, ":", line_number);
      const Json line = parse_json(text, where);
      if (!line.is_object()) throw DataError(where + ": want a JSON object");
      out = each(line, where);
    } catch (const DataError& e) {
      out = Json{{"error", e.what()}};
      result = ExitCode::kData;
    }
    std::printf("%s\n", dump_json(out).c_str());
    std::fflush(stdout);
  }
  if (num_lines == 0) throw DataError(cat(name, ": holds no lines; want one JSON object a line"));
  return result;
}

std::vector<int64_t> ids_of(const Json& line, const std::string& where, int64_t vocab_size) {
  const Json& list = json_at(line, "ids", where);
  if (!list.is_array()) throw DataError(where + ": 'ids' is no list, want a list of token ids");
  std::vector<int64_t> ids;
  for (const Json& item : list) {
    const bool is_id = item.is_number_integer() && item.get<int64_t>() >= 0 && item.get<int64_t>() < vocab_size;
    if (!is_id)
      throw DataError(cat(where, ": id ", dump_json(item), " is not in the vocabulary, want 0 to ", vocab_size - 1));
    ids.push_back(item.get<int64_t>());
  }
  return ids;
}

}  // namespace noregret
