#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "noregret/base/error.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"

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
  std::vector<std::pair<std::string, Node>> map;  // in the order written, keys unique
  Location location;

  const Node* find(const std::string& key) const;  // null when absent or not a map
  static Node from_json(const Json& value, const Location& location);
  Json to_json() const;  // plain scalars become booleans, integers and numbers where they read as such
};

// Constraints of a field.
struct OneOf {
  std::vector<std::string> names;
  OneOf(std::initializer_list<std::string> list) : names(list) {}
};
struct Range {  // closed
  double low;
  double high;
};
struct AtLeast {
  double low;
};
struct GreaterThan {
  double low;
};

// An options struct lists its fields once in `visit_fields(v)`:  v("name", field, [constraint,] "what it means");
// and says so with `using HasFieldsTag = void;`. Supported fields: bool, int, int64_t, uint64_t, double, std::string,
// std::vector of those, std::optional of those or of structs (written `none` when absent), nested structs with fields, vectors of such structs, and Node (taken as it is).

namespace internal {
bool read_bool(const Node& node, const std::string& path);
int64_t read_int(const Node& node, const std::string& path);
uint64_t read_uint(const Node& node, const std::string& path);
double read_double(const Node& node, const std::string& path);
std::string read_string(const Node& node, const std::string& path);
void check_list(const Node& node, const std::string& path);
[[noreturn]] void throw_out_of_range(const Node& node, const std::string& path, const std::string& want);
}  // namespace internal

// Reads one map of the tree into fields. Every key that no field took is an error when finish() is called.
//
//   throws ConfigError: "<location>: unknown key 'objective.clip_epz'; did you mean 'clip_eps'? Known keys: ...",
//                       "<location>: train.steps is 'x', want an integer", "... is -1, want at least 1"
class FieldReader {
 public:
  FieldReader(const Node& node, std::string path);  // `path` is "" at the root, else "objective", "rewards[0]"; a null node is an empty map

  template <class T>
  void operator()(const char* name, T& field, const char* /*doc*/) {
    if (const Node* node = take(name)) read(*node, child_path(name), field);
  }
  template <class T, class Constraint>
  void operator()(const char* name, T& field, const Constraint& constraint, const char* /*doc*/) {
    if (const Node* node = take(name)) {
      read(*node, child_path(name), field);
      check(*node, child_path(name), field, constraint);
    }
  }

  bool has(const char* name) const;              // written by the user?
  const Node& node() const { return *node_; }
  const std::string& path() const { return path_; }
  void finish() const;                           // throws on keys that no field took

 private:
  const Node* take(const char* name);  // remembers the name as known
  std::string child_path(const std::string& name) const { return path_.empty() ? name : path_ + "." + name; }

  template <class T>
  static void read(const Node& node, const std::string& path, T& field);
  template <class T, class Constraint>
  static void check(const Node& node, const std::string& path, const T& field, const Constraint& constraint);

  const Node* node_;
  Node empty_;
  std::string path_;
  std::vector<std::string> known_;
};

namespace internal {
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
concept Struct = std::is_class_v<T> && requires { typename T::HasFieldsTag; };
}  // namespace internal

template <class T>
void FieldReader::read(const Node& node, const std::string& path, T& field) {
  if constexpr (std::is_same_v<T, Node>) {
    field = node;
  } else if constexpr (std::is_same_v<T, bool>) {
    field = internal::read_bool(node, path);
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    field = internal::read_uint(node, path);
  } else if constexpr (std::is_integral_v<T>) {
    const int64_t value = internal::read_int(node, path);
    field = static_cast<T>(value);
    if (static_cast<int64_t>(field) != value) internal::throw_out_of_range(node, path, "a smaller integer");
  } else if constexpr (std::is_floating_point_v<T>) {
    field = static_cast<T>(internal::read_double(node, path));
  } else if constexpr (std::is_same_v<T, std::string>) {
    field = internal::read_string(node, path);
  } else if constexpr (internal::is_optional<T>::value) {
    if (node.kind == Node::Kind::kScalar && node.scalar == "none") {
      field.reset();
    } else {
      typename T::value_type value = field.value_or(typename T::value_type{});
      read(node, path, value);
      field = std::move(value);
    }
  } else if constexpr (internal::is_vector<T>::value) {
    internal::check_list(node, path);
    field.clear();
    for (size_t i = 0; i < node.list.size(); ++i) {
      typename T::value_type value{};
      read(node.list[i], path + "[" + std::to_string(i) + "]", value);
      field.push_back(std::move(value));
    }
  } else {
    static_assert(internal::Struct<T>, "a field's type needs visit_fields and HasFieldsTag");
    FieldReader reader(node, path);
    field.visit_fields(reader);
    reader.finish();
  }
}

template <class T, class Constraint>
void FieldReader::check(const Node& node, const std::string& path, const T& field, const Constraint& constraint) {
  if constexpr (internal::is_optional<T>::value) {
    if (field) check(node, path, *field, constraint);
  } else if constexpr (internal::is_vector<T>::value) {
    for (size_t i = 0; i < field.size(); ++i) check(node.list[i], path + "[" + std::to_string(i) + "]", field[i], constraint);
  } else if constexpr (std::is_same_v<Constraint, OneOf>) {
    for (const std::string& name : constraint.names) {
      if (field == name) return;
    }
    internal::throw_out_of_range(node, path, "one of " + join(constraint.names, ", ") + did_you_mean(field, constraint.names));
  } else if constexpr (std::is_same_v<Constraint, Range>) {
    if (!(static_cast<double>(field) >= constraint.low && static_cast<double>(field) <= constraint.high)) {
      internal::throw_out_of_range(node, path, cat(constraint.low, " to ", constraint.high));
    }
  } else if constexpr (std::is_same_v<Constraint, AtLeast>) {
    if (!(static_cast<double>(field) >= constraint.low)) internal::throw_out_of_range(node, path, cat("at least ", constraint.low));
  } else {
    static_assert(std::is_same_v<Constraint, GreaterThan>);
    if (!(static_cast<double>(field) > constraint.low)) internal::throw_out_of_range(node, path, cat("more than ", constraint.low));
  }
}

// Writes fields as an ordered JSON object: the resolved config, the manifest, its hash.
class FieldWriter {
 public:
  template <class T>
  void operator()(const char* name, T& field, const char* /*doc*/) {
    json_[name] = write(field);
  }
  template <class T, class Constraint>
  void operator()(const char* name, T& field, const Constraint&, const char* /*doc*/) {
    json_[name] = write(field);
  }
  const Json& json() const { return json_; }

 private:
  template <class T>
  static Json write(T& field) {
    if constexpr (std::is_same_v<T, Node>) {
      return field.to_json();
    } else if constexpr (internal::is_optional<T>::value) {
      return field ? write(*field) : Json("none");
    } else if constexpr (internal::is_vector<T>::value) {
      Json list = Json::array();
      for (auto&& item : field) list.push_back(write(item));
      return list;
    } else if constexpr (internal::Struct<T>) {
      FieldWriter writer;
      field.visit_fields(writer);
      return writer.json_.is_null() ? Json::object() : writer.json_;
    } else {
      return Json(field);
    }
  }
  Json json_ = Json::object();
};

template <class T>
T read_fields(const Node& node, const std::string& path) {
  T options{};
  FieldReader reader(node, path);
  options.visit_fields(reader);
  reader.finish();
  return options;
}

template <class T>
Json write_fields(T options) {
  FieldWriter writer;
  options.visit_fields(writer);
  return writer.json();
}

}  // namespace noregret
