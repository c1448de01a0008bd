#pragma once

#include <functional>
#include <string>

#include "noregret/base/error.h"
#include "noregret/base/json.h"

namespace noregret {

// Runs `each` on every line of a JSON-lines file ("-" = stdin) and prints its result as one line on stdout, in order. A
// line that is no object, or for which `each` throws a DataError, prints {"error": ...} and makes the result kData.
// Throws DataError when the file is missing or holds no lines.
ExitCode filter_lines(const std::string& input,
                      const std::function<Json(const Json& line, const std::string& where)>& each);

// The ids of {"ids": [...]}, each an integer in [0, vocab_size). Throws DataError.
std::vector<int64_t> ids_of(const Json& line, const std::string& where, int64_t vocab_size);

}  // namespace noregret
