#include "text/parts.h"

#include <algorithm>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret::text {
namespace {

void unfold(const Json& json, const PartKind& kind, const std::string& where, std::vector<Part>& parts) {
  const std::string place = cat(where, ": ", kind.name);
  std::string type = json_string(json, "type", place);
  if (type == "Sequence") {
    const Json& list = json_at(json, kind.list_key, place);
    if (!list.is_array()) throw DataError(cat(place, ": '", kind.list_key, "' is no list"));
    for (const Json& item : list) unfold(item, kind, where, parts);
    return;
  }
  if (std::find(kind.known.begin(), kind.known.end(), type) == kind.known.end()) {
    std::vector<std::string> known = kind.known;
    known.emplace_back("Sequence");
    throw DataError(cat(where, ": ", kind.name, " type ", noregret::quoted(type),
                        " is not supported; known: ", join(known, ", "), did_you_mean(type, known)));
  }
  parts.push_back({std::move(type), &json});
}

}  // namespace

std::vector<Part> parts_of(const Json& document, const PartKind& kind, const std::string& where) {
  std::vector<Part> parts;
  const auto found = document.find(kind.name);
  if (found != document.end() && !found->is_null()) unfold(*found, kind, where, parts);
  return parts;
}

bool bool_or(const Json& object, const char* key, bool otherwise, const std::string& where) {
  return object.contains(key) ? json_bool(object, key, where) : otherwise;
}

}  // namespace noregret::text
