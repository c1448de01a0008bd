#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace noregret {

// Keys keep their order. Numbers print as the shortest text that reads back to the same value.
using Json = nlohmann::ordered_json;

// Strict: UTF-8, at most `max_depth` levels, no duplicate key, nothing after the value, no NUL.
// `where` begins the message: a file name, "FILE:LINE". Throws DataError.
Json parse_json(std::string_view text, std::string_view where, int max_depth = 64);

// One line, no spaces; invalid UTF-8 becomes U+FFFD; non-finite numbers become null.
std::string dump_json(const Json& value);

// The float as a JSON number that prints as the shortest text of the float (0.1f prints 0.1, not 0.10000000149011612).
Json json_float(float value);

// Typed access with the place in the message. Each throws DataError "<where>: key 'k' is missing / is a string, want an integer".
const Json& json_at(const Json& object, const char* key, std::string_view where);
std::string json_string(const Json& object, const char* key, std::string_view where);
int64_t json_int(const Json& object, const char* key, std::string_view where);
double json_number(const Json& object, const char* key, std::string_view where);
bool json_bool(const Json& object, const char* key, std::string_view where);

}  // namespace noregret
