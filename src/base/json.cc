#include "noregret/base/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr size_t kMaxReason = 160;  // a number that overflows is named with all its digits

// What is wrong, from the library's "[json.exception...] parse error at line 1, column 5: syntax error while parsing
// value - invalid literal; last read: '...'; expected ..."; without what was read, which has any length and any
// characters.
std::string reason_of(std::string text) {
  if (const size_t end = text.find("] "); end != std::string::npos) text.erase(0, end + 2);
  if (text.rfind("parse error at ", 0) == 0) text.erase(0, text.find(": ") + 2);
  if (const size_t begin = text.find("; last read: "); begin != std::string::npos) {
    const size_t end = text.rfind("'; expected ");
    text.erase(begin, end == std::string::npos || end < begin ? end : end + 1 - begin);
  }
  return text.substr(0, kMaxReason);
}

// Builds the value from the parser's events, which lets it refuse deep nesting while it reads and see both of two equal
// keys. Objects are built by appending: a lookup for each key of a vocabulary would take quadratic time.
class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(std::string_view text, std::string_view where, int max_depth)
      : text_(text), where_(where), max_depth_(static_cast<size_t>(std::max(max_depth, 0))) {}

  Json take_root() { return std::move(root_); }

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool key(string_t& value) override {
    open_.back().key = std::move(value);
    return true;
  }
  bool end_object() override {
    refuse_duplicates(open_.back().value.get_ref<const Json::object_t&>());
    return close();
  }
  bool end_array() override { return close(); }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    fail(position, error.what());
  }

 private:
  struct Open {
    Json value;
    std::string key;
  };

  bool open(Json empty) {
    if (open_.size() >= max_depth_) throw DataError(cat(where_, ": nested deeper than ", max_depth_, " levels"));
    open_.push_back(Open{std::move(empty), ""});
    return true;
  }

  bool close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }

  bool add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& parent = open_.back(); parent.value.is_array()) {
      parent.value.push_back(std::move(value));
    } else {
      parent.value.get_ref<Json::object_t&>().emplace_back(std::move(parent.key), std::move(value));
    }
    return true;
  }

  void refuse_duplicates(const Json::object_t& object) const {
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& entry : object) keys.emplace_back(entry.first);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) throw DataError(cat(where_, ": key ", quoted(*twice), " is there twice"));
  }

  [[noreturn]] void fail(size_t position, const std::string& reason) const {
    std::string_view before = text_.substr(0, std::min(position, text_.size()));
    if (!before.empty() && before.back() == '\n')
      before.remove_suffix(1);  // what a line end ends is on the line before
    const auto num_breaks = std::count(before.begin(), before.end(), '\n');
    const size_t last_break = before.rfind('\n');
    const size_t column = last_break == std::string_view::npos ? before.size() : before.size() - last_break - 1;
    const bool is_one_line = text_.find('\n') == std::string_view::npos;
    throw DataError(cat(where_, ": not JSON at ", is_one_line ? "" : cat("line ", num_breaks + 1, ", "), "column ",
                        std::max<size_t>(column, 1), ": ", reason_of(reason)));
  }

  std::string_view text_;
  std::string_view where_;
  size_t max_depth_;
  Json root_;
  std::vector<Open> open_;
};

// The library's own digits are not always the shortest: about 1 double in 1,000 gets one more.
std::string number_text(double value) {
  if (!std::isfinite(value)) return "null";
  const std::string text = shortest(value);
  const bool looks_like_integer = text.find_first_of(".e") == std::string::npos;
  return looks_like_integer ? text + ".0" : text;
}

std::string plain_dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

void dump_to(std::string& out, const Json& value) {
  if (value.is_number_float()) {
    out += number_text(value.get<double>());
  } else if (value.is_array()) {
    out += '[';
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out += ',';
      dump_to(out, value[i]);
    }
    out += ']';
  } else if (value.is_object()) {
    out += '{';
    bool is_first = true;
    for (const auto& [key, item] : value.items()) {
      if (!is_first) out += ',';
      is_first = false;
      out += plain_dump(Json(key)) + ":";
      dump_to(out, item);
    }
    out += '}';
  } else {
    out += plain_dump(value);
  }
}

std::string kind_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::boolean:
      return "a boolean";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "an integer";
    case Json::value_t::number_float:
      return "a number";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::array:
      return "a list";
    default:
      return "an object";
  }
}

[[noreturn]] void throw_kind(const Json& value, const char* key, std::string_view where, const char* want) {
  throw DataError(cat(where, ": key '", key, "' is ", kind_of(value), ", want ", want));
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where, int max_depth) {
  if (text.find('\0') != std::string_view::npos) throw DataError(cat(where, ": holds a NUL byte, want JSON text"));
  if (!is_valid_utf8(text)) throw DataError(cat(where, ": not UTF-8, want JSON text"));
  TreeBuilder builder(text, where, max_depth);
  Json::sax_parse(text, &builder);
  return builder.take_root();
}

std::string dump_json(const Json& value) {
  std::string out;
  dump_to(out, value);
  return out;
}

Json json_float(float value) {
  if (!std::isfinite(value)) return Json(static_cast<double>(value));
  const std::string text = shortest(value);
  double number = 0.0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return Json(number);
}

const Json& json_at(const Json& object, const char* key, std::string_view where) {
  if (!object.is_object())
    throw DataError(cat(where, ": is ", kind_of(object), ", want an object with the key '", key, "'"));
  const auto found = object.find(key);
  if (found == object.end()) throw DataError(cat(where, ": key '", key, "' is missing"));
  return *found;
}

std::string json_string(const Json& object, const char* key, std::string_view where) {
  const Json& value = json_at(object, key, where);
  if (!value.is_string()) throw_kind(value, key, where, "a string");
  return value.get<std::string>();
}

int64_t json_int(const Json& object, const char* key, std::string_view where) {
  const Json& value = json_at(object, key, where);
  if (!value.is_number_integer()) throw_kind(value, key, where, "an integer");
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(kMax)) {
    throw DataError(cat(where, ": key '", key, "' is ", value.get<uint64_t>(), ", want at most ", kMax));
  }
  return value.get<int64_t>();
}

double json_number(const Json& object, const char* key, std::string_view where) {
  const Json& value = json_at(object, key, where);
  if (!value.is_number()) throw_kind(value, key, where, "a number");
  return value.get<double>();
}

bool json_bool(const Json& object, const char* key, std::string_view where) {
  const Json& value = json_at(object, key, where);
  if (!value.is_boolean()) throw_kind(value, key, where, "true or false");
  return value.get<bool>();
}

}  // namespace noregret
