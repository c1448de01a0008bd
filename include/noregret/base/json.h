#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace noregret {

// Keys keep their order. Print with dump_json(): the library's own dump() may give a digit too many.
using Json = nlohmann::ordered_json;

// Strict: UTF-8, at most `max_depth` levels, no duplicate key, nothing after the value, no NUL byte (\u0000 in a string
// is text like any other), no number beyond a double. Integers beyond 64 bits become floating-point numbers. `where`
// begins the message: a file name, "FILE:LINE". Throws DataError.
Json parse_json(std::string_view text, std::string_view where, int max_depth = 64);

// One line, no spaces. Numbers print as the shortest text that reads back to the same value, a floating-point one with
// a point or an exponent; invalid UTF-8 becomes U+FFFD; non-finite numbers become null.
std::string dump_json(const Json& value);

// The float as a JSON number that prints as the shortest text of the float (0.1f prints 0.1, not 0.10000000149011612).
Json json_float(float value);

// Typed access with the place in the message. Each throws DataError "<where>: key 'k' is missing / is a string, want an
// integer".
const Json& json_at(const Json& object, const char* key, std::string_view where);
std::string json_string(const Json& object, const char* key, std::string_view where);
int64_t json_int(const Json& object, const char* key, std::string_view where);
double json_number(const Json& object, const char* key, std::string_view where);
bool json_bool(const Json& object, const char* key, std::string_view where);

}  // namespace noregret
