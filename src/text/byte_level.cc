#include "text/byte_level.h"

#include <array>

#include "text/unicode.h"

namespace noregret::text {
namespace {

constexpr unsigned kFirstExtra = 0x100;
constexpr unsigned kNumSymbols = kFirstExtra + 68;

constexpr bool is_printable(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
}

struct Alphabet {
  std::array<unsigned short, 256> symbol{};
  std::array<short, kNumSymbols> byte{};

  constexpr Alphabet() {
    for (short& value : byte) value = -1;
    unsigned next = kFirstExtra;
    for (unsigned b = 0; b < 256; ++b) {
      const unsigned s = is_printable(b) ? b : next++;
      symbol[b] = static_cast<unsigned short>(s);
      byte[s] = static_cast<short>(b);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

void append_byte_symbols(std::string_view bytes, std::string& out) {
  for (const char c : bytes) {
    const unsigned symbol = kAlphabet.symbol[static_cast<unsigned char>(c)];
    if (symbol < 0x80) {
      out += static_cast<char>(symbol);
    } else {
      out += static_cast<char>(0xc0 | (symbol >> 6));
      out += static_cast<char>(0x80 | (symbol & 0x3f));
    }
  }
}

void append_symbol_bytes(std::string_view symbols, std::string& out) {
  const size_t size_before = out.size();
  for (size_t at = 0; at < symbols.size();) {
    const CodePoint symbol = code_point_at(symbols, at);
    const auto byte = byte_of_symbol(symbol.value);
    if (!byte) {
      out.resize(size_before);
      out += symbols;
      return;
    }
    out += static_cast<char>(*byte);
    at += symbol.num_bytes;
  }
}

std::optional<unsigned char> byte_of_symbol(char32_t symbol) {
  if (symbol >= kNumSymbols || kAlphabet.byte[symbol] < 0) return std::nullopt;
  return static_cast<unsigned char>(kAlphabet.byte[symbol]);
}

}  // namespace noregret::text
