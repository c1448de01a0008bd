#include "run/filter.h"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <system_error>

#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {

void for_each_line(const std::string& input, const std::function<void(const std::string&, const std::string&)>& each) {
  const bool is_stdin = input == "-";
  std::ifstream file;
  if (!is_stdin) {
    std::error_code error;
    const fs::file_status status = fs::status(input, error);
    if (!fs::exists(status)) throw DataError(cat(input, ": no such file; want JSON lines, or - for stdin"));
    if (fs::is_directory(status)) throw DataError(input + ": is a folder, want a file of JSON lines");
    file.open(input);
    if (!file) throw DataError(input + ": cannot be opened; want a file that this user may read");
  }
  std::istream& stream = is_stdin ? std::cin : file;
  const std::string name = is_stdin ? "stdin" : input;
  int64_t line_number = 0;
  int64_t num_lines = 0;
  for (std::string text; std::getline(stream, text);) {
    ++line_number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    ++num_lines;
    each(text, cat(name, ":", line_number));
  }
  if (stream.bad()) throw DataError(cat(name, ": cannot be read beyond line ", line_number));
  if (num_lines == 0) throw DataError(cat(name, ": holds no lines; want one JSON object a line"));
}

Json object_of(const std::string& text, const std::string& where) {
  Json line = parse_json(text, where);
  if (!line.is_object()) throw DataError(where + ": want a JSON object");
  return line;
}

ExitCode filter_lines(const std::string& input, const std::function<Json(const Json&, const std::string&)>& each) {
  ExitCode result = ExitCode::kOk;
  for_each_line(input, [&](const std::string& text, const std::string& where) {
    Json out;
    try {
      out = located(where, [&] { return each(object_of(text, where), where); });
    } catch (const DataError& e) {
      out = Json{{"error", e.what()}};
      result = ExitCode::kData;
    }
    std::printf("%s\n", dump_json(out).c_str());
    flush_stdout();
  });
  return result;
}

void print_warning(const std::string& warning) {
  if (!warning.empty()) std::fprintf(stderr, "warning: %s\n", warning.c_str());
}

void flush_stdout() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw IoError(cat("stdout: cannot write the results: ", std::generic_category().message(errno),
                    "; make room, or send them elsewhere"));
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
