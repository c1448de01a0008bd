#pragma once

#include <functional>
#include <string>

#include "noregret/base/error.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"

namespace noregret {

// Calls `each` with every line of a file ("-" = stdin) that is not blank, and with its place, "FILE:LINE". Throws
// DataError when the file is missing or holds no lines.
void for_each_line(const std::string& input,
                   const std::function<void(const std::string& text, const std::string& where)>& each);

// The JSON object of a line. Throws DataError.
Json object_of(const std::string& text, const std::string& where);

// Runs `each` on every line of a JSON-lines file ("-" = stdin) and prints its result as one line on stdout, in order. A
// line that is no object, or for which `each` throws a DataError, prints {"error": ...} and makes the result kData.
// Throws DataError when the file is missing or holds no lines, IoError when stdout takes no more.
ExitCode filter_lines(const std::string& input,
                      const std::function<Json(const Json& line, const std::string& where)>& each);

// Runs `work`; a DataError of it that names no place begins with `where`.
template <class Work>
auto located(const std::string& where, const Work& work) {
  try {
    return work();
  } catch (const DataError& e) {
    const std::string text = e.what();
    throw DataError(text.rfind(where, 0) == 0 ? text : cat(where, ": ", text));
  }
}

// Throws IoError when what was printed did not reach stdout.
void flush_stdout();

// "warning: ..." on stderr, where there is one.
void print_warning(const std::string& warning);

// The ids of {"ids": [...]}, each an integer in [0, vocab_size). Throws DataError.
std::vector<int64_t> ids_of(const Json& line, const std::string& where, int64_t vocab_size);

}  // namespace noregret
