#pragma once

#include <string>
#include <vector>

#include "noregret/base/json.h"

namespace noregret::text {

// One step of a tokenizer.json pipeline.
struct Part {
  std::string type;
  const Json* json;  // of the document, which outlives it
};

// A place of the pipeline and what may stand there.
struct PartKind {
  const char* name;                // "normalizer": the key in tokenizer.json
  const char* list_key;            // "normalizers": the key of a Sequence's list
  std::vector<std::string> known;  // besides Sequence
};

// The steps in order, sequences unfolded; none when the key is absent or null.
// Throws DataError naming a type that is not known.
std::vector<Part> parts_of(const Json& document, const PartKind& kind, const std::string& where);

// A value that may be absent. Throws DataError on another type.
bool bool_or(const Json& object, const char* key, bool otherwise, const std::string& where);

}  // namespace noregret::text
