#pragma once

#include <string>
#include <utility>
#include <vector>

#include "noregret/base/json.h"

namespace noregret {

// Where a value was written: "configs/gsm8k.yaml:14:3", "--set objective.clip_eps" (line 0), or a plugin's options.
struct Location {
  std::string file;
  int line = 0;  // from 1; 0 = no line
  int column = 0;
  std::string str() const;
};

// A value tree that remembers where each value was written: what a YAML file, --set and a plugin's JSON options become.
struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string scalar;      // as written
  bool is_quoted = false;  // a quoted scalar is a string, never a number or a boolean
  std::vector<Node> list;
  struct Entry;            // key and value
  std::vector<Entry> map;  // in the order written, keys unique
  Location location;

  const Node* find(const std::string& key) const;  // null when absent or not a map
  static Node from_json(const Json& value, const Location& location);
  Json to_json() const;  // plain scalars become booleans, integers and numbers where they read as such
};

// No std::pair, which asks for what a Node can do before a Node is whole.
struct Node::Entry {
  Entry(std::string key_in, Node value_in) : key(std::move(key_in)), value(std::move(value_in)) {}
  std::string key;
  Node value;
};

}  // namespace noregret
