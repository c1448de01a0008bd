#include "text/decoder.h"

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "text/byte_level.h"
#include "text/parts.h"
#include "text/unicode.h"

namespace noregret::text {

Decoder Decoder::parse(const Json& document, const std::string& where) {
  static const PartKind kKind{"decoder", "decoders", {"ByteLevel"}};
  Decoder decoder;
  decoder.num_steps_ = parts_of(document, kKind, where).size();
  if (decoder.num_steps_ == 0) throw DataError(where + ": there is no decoder, want ByteLevel");
  return decoder;
}

std::string Decoder::decode(const std::vector<std::string>& tokens) const {
  std::vector<std::string> texts = tokens;
  for (size_t i = 0; i < num_steps_; ++i) {
    std::string bytes;
    for (const std::string& text : texts) append_symbol_bytes(text, bytes);
    texts = {replace_invalid_utf8(bytes)};
  }
  return texts.front();
}

}  // namespace noregret::text
