#include "text/normalizer.h"

#include "text/parts.h"
#include "text/unicode.h"

namespace noregret::text {

Normalizer Normalizer::parse(const Json& document, const std::string& where) {
  static const PartKind kKind{"normalizer", "normalizers", {"NFC"}};
  Normalizer normalizer;
  normalizer.is_nfc_ = !parts_of(document, kKind, where).empty();
  return normalizer;
}

std::string Normalizer::apply(std::string_view text) const { return is_nfc_ ? to_nfc(text) : std::string(text); }

}  // namespace noregret::text
