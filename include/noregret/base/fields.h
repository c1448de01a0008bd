#pragma once

#include <string>

#include "noregret/base/field_reader.h"
#include "noregret/base/field_writer.h"

namespace noregret {

// An options struct lists its fields once in `visit_fields(v)`:  v("name", field, [constraint,] "what it means");
// and says so with `using HasFieldsTag = void;`. Supported fields: bool, int, int64_t, uint64_t, double, std::string,
// std::vector of those, std::optional of those or of structs (written `none` when absent), nested structs with fields,
// vectors of such structs, and Node (taken as it is).

// The options that the tree says, defaults where it says nothing. `path` as in FieldReader. Throws ConfigError.
template <class T>
T read_fields(const Node& node, const std::string& path) {
  T options{};
  FieldReader reader(node, path);
  options.visit_fields(reader);
  reader.finish();
  return options;
}

// Every field, in the order of visit_fields.
template <class T>
Json write_fields(T options) {
  FieldWriter writer;
  options.visit_fields(writer);
  return writer.json();
}

}  // namespace noregret
