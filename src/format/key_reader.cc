#include "format/key_reader.h"

#include <cmath>
#include <utility>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {

KeyReader::KeyReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) throw DataError(cat(where_, ": is no JSON object"));
}

bool KeyReader::has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

const Json& KeyReader::at(const char* key) const {
  if (!has(key)) fail(key, "is missing; the file is incomplete, fetch it again");
  return *object_.find(key);
}

int64_t KeyReader::integer(const char* key, int64_t low, int64_t high) const {
  at(key);
  const int64_t value = json_int(object_, key, where_);
  if (value < low || value > high) fail(key, cat("is ", value, ", want ", low, " to ", high));
  return value;
}

double KeyReader::number(const char* key) const {
  at(key);
  const double value = json_number(object_, key, where_);
  if (!std::isfinite(value)) fail(key, cat("is ", value, ", want a finite number"));
  return value;
}

double KeyReader::positive(const char* key) const {
  const double value = number(key);
  if (!(value > 0)) fail(key, cat("is ", value, ", want more than 0"));
  return value;
}

std::string KeyReader::string(const char* key) const {
  at(key);
  return json_string(object_, key, where_);
}

bool KeyReader::boolean_or(const char* key, bool otherwise) const {
  return has(key) ? json_bool(object_, key, where_) : otherwise;
}

void KeyReader::fail(const std::string& key, const std::string& what) const {
  throw DataError(cat(where_, ": ", key, " ", what));
}

std::string json_excerpt(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  return value.is_string() ? quoted(value.get<std::string>()) : dump_json(value);
}

}  // namespace noregret
