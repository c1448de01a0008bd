#include "noregret/base/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace noregret {
namespace {

constexpr size_t kMaxShown = 64;  // bytes of a value that an error repeats without quotes

// What a plain scalar is written as. A leading zero belongs to no kind: 017 is 15 to some readers and 17 to others.
enum class Form { kInteger, kNumber, kOther };

Form form_of(std::string_view text) {
  const auto skip_digits = [&text] {
    const size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9') return Form::kOther;
  size_t num_digits = skip_digits();
  if (text.empty() && num_digits > 0) return Form::kInteger;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    num_digits += skip_digits();
  }
  if (num_digits == 0) return Form::kOther;
  if (text.empty()) return Form::kNumber;
  if (text[0] != 'e' && text[0] != 'E') return Form::kOther;
  text.remove_prefix(1);
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const bool has_exponent = skip_digits() > 0;
  return has_exponent && text.empty() ? Form::kNumber : Form::kOther;
}

// All of `text` as a T, or nothing when it does not fit in one.
template <class T>
std::optional<T> converted(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);  // from_chars takes no plus sign
  T value{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_plain(const Node& node) { return node.kind == Node::Kind::kScalar && !node.is_quoted; }

bool is_any_of(const std::string& text, std::initializer_list<const char*> words) {
  std::string lower = text;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return lower == word; });
}

std::string described(const Node& node) {
  if (node.kind == Node::Kind::kNull) return "empty";
  if (node.kind == Node::Kind::kList) return "a list";
  if (node.kind == Node::Kind::kMap) return "a map";
  const bool is_value = is_plain(node) && node.scalar.size() < kMaxShown &&
                        (form_of(node.scalar) != Form::kOther || node.scalar == "true" || node.scalar == "false");
  return is_value ? node.scalar : quoted(node.scalar);
}

// "<location>: ", or nothing for a value without one.
std::string place(const Node& node) {
  const std::string text = node.location.str();
  return text.empty() ? "" : text + ": ";
}

[[noreturn]] void throw_value(const Node& node, const std::string& path, const std::string& want) {
  throw ConfigError(cat(place(node), path.empty() ? "the value" : path, " is ", described(node), ", want ", want));
}

// How to mend what looks like a number but is not one here.
std::string number_hint(const Node& node) {
  const std::string& text = node.scalar;
  if (node.kind != Node::Kind::kScalar || text.empty()) return "";
  if (node.is_quoted) return form_of(text) == Form::kOther ? "" : "; leave the quotes away";
  if (text.find('_') != std::string::npos) {
    std::string digits = text;
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    return form_of(digits) == Form::kOther || digits.size() > kMaxShown ? "" : "; write " + digits;
  }
  std::string_view rest = text;
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  const bool is_zero_led = rest.size() > 1 && rest[0] == '0' &&
                           rest.find_first_not_of("0123456789xXabcdefABCDEFo") == std::string_view::npos;
  return is_zero_led ? "; write it in decimal digits, without a leading 0" : "";
}

template <class T>
T read_whole(const Node& node, const std::string& path) {
  const Form form = is_plain(node) ? form_of(node.scalar) : Form::kOther;
  if (form == Form::kNumber) {
    const std::optional<double> number = converted<double>(node.scalar);
    const bool is_whole = number && std::floor(*number) == *number && std::abs(*number) < 1e15;
    throw_value(node, path, is_whole ? cat("an integer; write ", static_cast<int64_t>(*number)) : "an integer");
  }
  if (form != Form::kInteger) throw_value(node, path, "an integer" + number_hint(node));
  const std::optional<T> value = converted<T>(node.scalar);
  if (!value) {
    throw_value(node, path,
                cat("an integer from ", std::numeric_limits<T>::min(), " to ", std::numeric_limits<T>::max()));
  }
  return *value;
}

}  // namespace

std::string Location::str() const {
  if (line == 0) return file;
  return column == 0 ? cat(file, ":", line) : cat(file, ":", line, ":", column);
}

const Node* Node::find(const std::string& key) const {
  for (const auto& [name, value] : map) {
    if (name == key) return &value;
  }
  return nullptr;
}

Node Node::from_json(const Json& value, const Location& location) {
  Node node;
  node.location = location;
  if (value.is_object()) {
    node.kind = Kind::kMap;
    for (const auto& [key, item] : value.items()) node.map.emplace_back(key, from_json(item, location));
  } else if (value.is_array()) {
    node.kind = Kind::kList;
    for (const Json& item : value) node.list.push_back(from_json(item, location));
  } else if (!value.is_null()) {
    node.kind = Kind::kScalar;
    node.is_quoted = value.is_string();
    const bool is_finite = !value.is_number_float() || std::isfinite(value.get<double>());
    if (value.is_string()) {
      node.scalar = value.get<std::string>();
    } else {
      node.scalar = is_finite ? dump_json(value) : shortest(value.get<double>());
    }
  }
  return node;
}

Json Node::to_json() const {
  if (kind == Kind::kNull) return Json();
  if (kind == Kind::kList) {
    Json json = Json::array();
    for (const Node& item : list) json.push_back(item.to_json());
    return json;
  }
  if (kind == Kind::kMap) {
    Json json = Json::object();
    for (const auto& [key, item] : map) json[key] = item.to_json();
    return json;
  }
  if (is_quoted) return Json(scalar);
  if (scalar == "true" || scalar == "false") return Json(scalar == "true");
  const Form form = form_of(scalar);
  if (form == Form::kOther) return Json(scalar);
  if (form == Form::kInteger) {
    if (const auto value = converted<int64_t>(scalar)) return Json(*value);
    if (const auto value = converted<uint64_t>(scalar)) return Json(*value);
  }
  const std::optional<double> value = converted<double>(scalar);
  return value ? Json(*value) : Json(scalar);
}

namespace internal {

bool read_bool(const Node& node, const std::string& path) {
  if (is_plain(node) && node.scalar == "true") return true;
  if (is_plain(node) && node.scalar == "false") return false;
  std::string hint;
  if (node.kind == Node::Kind::kScalar) {
    if (is_any_of(node.scalar, {"yes", "on", "y", "1", "true"})) hint = "; write true";
    if (is_any_of(node.scalar, {"no", "off", "n", "0", "false"})) hint = "; write false";
  }
  throw_value(node, path, "true or false" + hint);
}

int64_t read_int(const Node& node, const std::string& path) { return read_whole<int64_t>(node, path); }

uint64_t read_uint(const Node& node, const std::string& path) { return read_whole<uint64_t>(node, path); }

double read_double(const Node& node, const std::string& path) {
  if (!is_plain(node) || form_of(node.scalar) == Form::kOther) {
    const bool is_special =
        is_any_of(node.scalar, {"inf", "-inf", "+inf", ".inf", "-.inf", "+.inf", "nan", ".nan", "infinity"});
    throw_value(node, path, (is_special ? "a finite number" : "a number") + number_hint(node));
  }
  const std::optional<double> value = converted<double>(node.scalar);
  if (!value) throw_value(node, path, "a number that a double can hold, 2.3e-308 to 1.7e308");
  return *value;
}

std::string read_string(const Node& node, const std::string& path) {
  if (node.kind == Node::Kind::kNull) throw_value(node, path, "text; write \"\" for none");
  if (node.kind != Node::Kind::kScalar) throw_value(node, path, "text");
  return node.scalar;
}

void check_list(const Node& node, const std::string& path) {
  if (node.kind == Node::Kind::kList) return;
  const bool is_short = node.scalar.size() < kMaxShown && quoted(node.scalar) == cat("'", node.scalar, "'");
  throw_value(node, path,
              node.kind == Node::Kind::kScalar && is_short ? cat("a list; write [", node.scalar, "]") : "a list");
}

void throw_out_of_range(const Node& node, const std::string& path, const std::string& want) {
  throw_value(node, path, want);
}

}  // namespace internal

FieldReader::FieldReader(const Node& node, std::string path) : node_(&node), path_(std::move(path)) {
  const bool is_map = node.kind == Node::Kind::kMap || node.kind == Node::Kind::kNull;
  if (!is_map) throw_value(node, path_, "a map of keys and values");
}

bool FieldReader::has(const char* name) const { return node_->find(name) != nullptr; }

const Node* FieldReader::take(const char* name) {
  known_.emplace_back(name);
  return node_->find(name);
}

void FieldReader::finish() const {
  for (const auto& [key, value] : node_->map) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string suggestion = did_you_mean(key, known_);
    throw ConfigError(cat(place(value), "unknown key ", quoted(child_path(key)),
                          suggestion.empty() ? "; known keys: " : suggestion + " Known keys: ",
                          known_.empty() ? "none" : join(known_, ", ")));
  }
}

}  // namespace noregret
