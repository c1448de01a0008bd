#pragma once

#include <string>
#include <vector>

#include "noregret/base/json.h"

namespace noregret::text {

// "decoder" of tokenizer.json: byte-level characters back to bytes, invalid UTF-8 to U+FFFD.
class Decoder {
 public:
  static Decoder parse(const Json& document, const std::string& where);
  std::string decode(const std::vector<std::string>& tokens) const;

 private:
  size_t num_steps_ = 0;
};

}  // namespace noregret::text
