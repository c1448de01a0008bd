#pragma once

#include <functional>
#include <string>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/base/json.h"

namespace noregret {

struct JsonLine {
  Json value;
  int line = 0;  // from 1
};

// All objects of a .jsonl or .jsonl.gz file, or of a .json file that is one array of objects (line = index + 1); blank
// lines are passed over. Throws DataError "<path>:<line>: ..." on the first bad line, "<path>: holds no rows" when
// empty.
std::vector<JsonLine> read_jsonl(const fs::path& path);

}  // namespace noregret
