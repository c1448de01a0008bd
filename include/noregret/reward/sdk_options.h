#pragma once

#include <string_view>

#include "noregret/base/fields.h"

// Options of a plugin written in the project's own way (base/fields.h); the plugin then links noregret_grade, which
// carries base.
namespace noregret::sdk {

// The options that the struct lists in visit_fields(); throws with the reason on an unknown key, a wrong type or a
// value out of range.
template <class Options>
Options read_options(std::string_view options_json) {
  const Location location{"options"};
  const Node node = Node::from_json(parse_json(options_json, location.file), location);
  if (node.kind != Node::Kind::kMap) throw ConfigError("options: want a map of names and values, as in {strict: true}");
  return read_fields<Options>(node, "");
}

}  // namespace noregret::sdk
