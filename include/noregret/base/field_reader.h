#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "noregret/base/error.h"
#include "noregret/base/field_types.h"
#include "noregret/base/node.h"
#include "noregret/base/text.h"

namespace noregret {

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
  // `path` is "" at the root, else "objective", "rewards[0]". A null node is an empty map. `node` must outlive the
  // reader.
  FieldReader(const Node& node, std::string path);

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

  bool has(const char* name) const;  // written by the user?
  const Node& node() const { return *node_; }
  const std::string& path() const { return path_; }
  void finish() const;  // throws on keys that no field took

 private:
  const Node* take(const char* name);  // remembers the name as known
  std::string child_path(const std::string& name) const { return path_.empty() ? name : path_ + "." + name; }

  template <class T>
  static void read(const Node& node, const std::string& path, T& field);
  template <class T, class Constraint>
  static void check(const Node& node, const std::string& path, const T& field, const Constraint& constraint);

  const Node* node_;
  std::string path_;
  std::vector<std::string> known_;
};

template <class T>
void FieldReader::read(const Node& node, const std::string& path, T& field) {
  if constexpr (std::is_same_v<T, Node>) {
    field = node;
  } else if constexpr (std::is_same_v<T, bool>) {
    field = internal::read_bool(node, path);
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    field = internal::read_uint(node, path);
  } else if constexpr (std::is_integral_v<T>) {
    using Limits = std::numeric_limits<T>;
    const int64_t value = internal::read_int(node, path);
    field = static_cast<T>(value);
    if (static_cast<int64_t>(field) != value) {
      internal::throw_out_of_range(node, path, cat("an integer from ", Limits::min(), " to ", Limits::max()));
    }
  } else if constexpr (std::is_floating_point_v<T>) {
    field = static_cast<T>(internal::read_double(node, path));
  } else if constexpr (std::is_same_v<T, std::string>) {
    field = internal::read_string(node, path);
  } else if constexpr (internal::kIsOptional<T>) {
    if (node.kind == Node::Kind::kScalar && node.scalar == "none") {
      field.reset();
    } else {
      typename T::value_type value = field.value_or(typename T::value_type{});
      read(node, path, value);
      field = std::move(value);
    }
  } else if constexpr (internal::kIsVector<T>) {
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
  if constexpr (internal::kIsOptional<T>) {
    if (field) check(node, path, *field, constraint);
  } else if constexpr (internal::kIsVector<T>) {
    for (size_t i = 0; i < field.size(); ++i)
      check(node.list[i], path + "[" + std::to_string(i) + "]", field[i], constraint);
  } else if constexpr (std::is_same_v<Constraint, OneOf>) {
    for (const std::string& name : constraint.names) {
      if (field == name) return;
    }
    internal::throw_out_of_range(node, path,
                                 "one of " + join(constraint.names, ", ") + did_you_mean(field, constraint.names));
  } else if constexpr (std::is_same_v<Constraint, Range>) {
    if (!(static_cast<double>(field) >= constraint.low && static_cast<double>(field) <= constraint.high)) {
      internal::throw_out_of_range(node, path, cat(constraint.low, " to ", constraint.high));
    }
  } else if constexpr (std::is_same_v<Constraint, AtLeast>) {
    if (!(static_cast<double>(field) >= constraint.low))
      internal::throw_out_of_range(node, path, cat("at least ", constraint.low));
  } else {
    static_assert(std::is_same_v<Constraint, GreaterThan>);
    if (!(static_cast<double>(field) > constraint.low))
      internal::throw_out_of_range(node, path, cat("more than ", constraint.low));
  }
}

}  // namespace noregret
