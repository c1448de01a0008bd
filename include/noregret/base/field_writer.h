#pragma once

#include <type_traits>

#include "noregret/base/field_types.h"
#include "noregret/base/json.h"
#include "noregret/base/node.h"

namespace noregret {

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
    } else if constexpr (internal::kIsOptional<T>) {
      return field ? write(*field) : Json("none");
    } else if constexpr (internal::kIsVector<T>) {
      Json list = Json::array();
      for (auto&& item : field) list.push_back(write(item));
      return list;
    } else if constexpr (internal::Struct<T>) {
      FieldWriter writer;
      field.visit_fields(writer);
      return writer.json_;
    } else {
      return Json(field);
    }
  }
  Json json_ = Json::object();
};

}  // namespace noregret
