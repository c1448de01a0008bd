#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace noregret::text {

// GPT-2's byte-level alphabet: each byte has one printable character. Bytes that print in Latin-1 (33 to 126, 161 to
// 172, 174 to 255) stand for themselves; the other 68, in order, are U+0100 to U+0143.

// Appends the characters of the bytes, in UTF-8.
void append_byte_symbols(std::string_view bytes, std::string& out);

// Appends the bytes of the characters of `symbols` (valid UTF-8), or `symbols` itself where one of its characters
// stands for no byte.
void append_symbol_bytes(std::string_view symbols, std::string& out);

// The byte of a character, if it is one of the alphabet.
std::optional<unsigned char> byte_of_symbol(char32_t symbol);

}  // namespace noregret::text
