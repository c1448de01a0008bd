#pragma once

#include <string>
#include <string_view>

#include "noregret/base/json.h"

namespace noregret::text {

// "normalizer" of tokenizer.json: NFC, or nothing.
class Normalizer {
 public:
  static Normalizer parse(const Json& document, const std::string& where);
  std::string apply(std::string_view text) const;

 private:
  bool is_nfc_ = false;
};

}  // namespace noregret::text
